/** One action of the reader at a time, and the problem if it fails. */
import { useState } from "preact/hooks";
import type { Said } from "./said.ts";

/** Returns whether an action is under way, and what runs one. The action says by itself that it is done. */
export function useActing(
  say: (said: Said) => void,
  problemOf: (error: unknown) => string,
): [busy: boolean, act: (action: () => Promise<void>) => void] {
  const [busy, setBusy] = useState(false);
  const run = async (action: () => Promise<void>): Promise<void> => {
    setBusy(true);
    try {
      await action();
    } catch (error) {
      say({ tone: "bad", text: problemOf(error) });
    } finally {
      setBusy(false);
    }
  };
  return [busy, (action) => void run(action)];
}
