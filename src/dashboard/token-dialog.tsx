/** Asks for the token when the app wants one. */
import { useEffect, useRef } from "preact/hooks";
import { enter, locked } from "./session.ts";

const WORDS: Readonly<Record<string, string>> = {
  no_token: "This app is guarded. The dashboard needs its admin token.",
  bad_token: "The app doesn't know that token.",
  wrong_role: "That token opens other routes. The dashboard needs the admin token.",
  unknown_caller: "The app doesn't know this caller.",
};

export function TokenDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const why = locked.value;
  useEffect(() => {
    if (why === null) dialog.current?.close();
    else if (dialog.current?.open === false) dialog.current.showModal();
  }, [why]);
  const submit = (event: Event): void => {
    event.preventDefault();
    const text = field.current?.value.trim() ?? "";
    if (field.current !== null) field.current.value = "";
    if (text !== "") enter(text);
  };
  return (
    <dialog ref={dialog} aria-labelledby="token-title">
      <form onSubmit={submit}>
        <h2 id="token-title">Token</h2>
        <p role="status">{why === null ? "" : (WORDS[why.code] ?? why.detail)}</p>
        <label>
          Admin token
          <input ref={field} type="password" autocomplete="off" spellcheck={false} required />
        </label>
        <p class="hint">It is kept in this tab until the tab is closed, and sent to this app alone.</p>
        <button type="submit" class="strong">
          Use it
        </button>
      </form>
    </dialog>
  );
}
