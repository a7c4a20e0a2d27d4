/** The answer of a route, for a view: requested once, and again when the path or the token changes or the view asks. */
import { useCallback, useEffect, useState } from "preact/hooks";
import { get, errorText } from "./api.ts";
import { locked, token } from "./session.ts";

export interface Answered<T> {
  /** The last good answer to this path. */
  readonly value: T | null;
  readonly error: string | null;
  readonly again: () => void;
}

/** Asks nothing if `path` is null. A change of `version` makes an answer old. */
export function useAnswer<T>(path: string | null, version: unknown = null): Answered<T> {
  const [found, setFound] = useState<{ path: string; value: T } | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [round, setRound] = useState(0);
  const used = token.value;
  const shut = locked.value !== null;
  useEffect(() => {
    if (path === null || shut) return;
    const mine = new AbortController();
    get<T>(path, mine.signal).then(
      (value) => {
        if (mine.signal.aborted) return;
        setFound({ path, value });
        setError(null);
      },
      (error: unknown) => {
        if (!mine.signal.aborted) setError(errorText(error));
      },
    );
    return () => mine.abort();
  }, [path, version, round, used, shut]);
  const again = useCallback(() => setRound((n) => n + 1), []);
  return { value: found !== null && found.path === path ? found.value : null, error, again };
}
