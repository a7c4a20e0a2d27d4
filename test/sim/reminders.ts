/** The times of the operator `reminders`, which its model needs too. */

/** `remind` sets "soon" to n of these. */
export const SOON_MS = 7_000;

/** "often" sets itself again, three times of four. */
export const REPEAT_MS = 11_000;

/** Keys expire this long after their last event, in some worlds. */
export const EXPIRY_MS = 90_000;
