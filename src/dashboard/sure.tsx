/** A button for an action that disturbs or can't be undone. The button looks dangerous, and asks first. */
import { useRef } from "preact/hooks";
import type { ComponentChildren } from "preact";

export interface SureProps {
  /** The text of the button. Dots follow, since it asks. */
  readonly label: string;
  readonly title: string;
  readonly yes: string;
  readonly no?: string;
  readonly disabled?: boolean;
  /** An action on many harmless things asks too, but doesn't look dangerous. */
  readonly mild?: boolean;
  readonly act: () => void;
  readonly children: ComponentChildren;
}

export function Sure({ label, title, yes, no = "Cancel", disabled = false, mild = false, act, children }: SureProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  return (
    <>
      <button
        type="button"
        class={mild ? "" : "danger"}
        disabled={disabled}
        onClick={() => dialog.current?.showModal()}
      >
        {label}…
      </button>
      <dialog ref={dialog} aria-label={title}>
        <h2>{title}</h2>
        <p>{children}</p>
        <p class="actions">
          <button
            type="button"
            class={mild ? "strong" : "danger sure"}
            onClick={() => {
              dialog.current?.close();
              act();
            }}
          >
            {yes}
          </button>
          <button type="button" onClick={() => dialog.current?.close()}>
            {no}
          </button>
        </p>
      </dialog>
    </>
  );
}
