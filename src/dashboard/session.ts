/**
 * The token that this tab uses. It is in the tab's session storage and in a header of each request, never in an
 * address.
 */
import { signal } from "@preact/signals";

const NAME = "keyframe.token";

export const token = signal<string | null>(stored());
/** The reason why the app refused access, or null if it didn't, or wasn't asked yet. */
export const locked = signal<{ readonly code: string; readonly detail: string } | null>(null);

export function enter(text: string | null): void {
  token.value = text;
  locked.value = null;
  try {
    if (text === null) sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, text);
  } catch {
    // Storage is off, so the token is lost when the page is loaded again.
  }
}

function stored(): string | null {
  try {
    return sessionStorage.getItem(NAME);
  } catch {
    return null;
  }
}
