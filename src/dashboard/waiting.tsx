/** What stands where an answer isn't there yet. */
import { failure } from "./live.ts";
import { locked } from "./session.ts";

export const Waiting = () => (
  <p class="empty">{failure.value ?? (locked.value === null ? "One moment." : "The app asks for a token.")}</p>
);
