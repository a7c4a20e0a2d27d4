/** The placeholder until an answer is there. */
import { failure } from "./live.ts";
import { locked } from "./session.ts";

export const Waiting = () => (
  <p class="empty">{failure.value ?? (locked.value === null ? "One moment." : "The app asks for a token.")}</p>
);
