/** A button for what can't be taken back, or disturbs: it looks so, and asks first. */
import { useRef } from "preact/hooks";
import type { ComponentChildren } from "preact";

export interface SureProps {
  /** What the button says; dots follow, since it asks. */
  readonly label: string;
  readonly title: string;
  readonly yes: string;
  readonly no?: string;
  readonly disabled?: boolean;
  /** Harmless things that are many ask too, and don't look dangerous. */
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
