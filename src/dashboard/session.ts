/**
 * The token that this tab uses. It lives in the tab's session storage, goes out in a header, and stands in no address.
 */
import { signal } from "@preact/signals";

const NAME = "keyframe.token";

export const token = signal<string | null>(stored());
/** Why the app let us not in; null: it does, or nobody asked yet. */
export const locked = signal<{ readonly code: string; readonly detail: string } | null>(null);

export function enter(text: string | null): void {
  token.value = text;
  locked.value = null;
  try {
    if (text === null) sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, text);
  } catch {
    // Storage is off: the token is gone when the page is loaded anew.
  }
}

function stored(): string | null {
  try {
    return sessionStorage.getItem(NAME);
  } catch {
    return null;
  }
}
