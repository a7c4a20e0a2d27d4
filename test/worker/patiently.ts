import { vi } from "vitest";

/** Looks until it doesn't throw: for minutes, since a machine that is busy with other things is no failure. */
export const patiently = <T>(look: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(look, { timeout: 300_000, interval: 20 });
