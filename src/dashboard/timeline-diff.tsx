/**
 * The keys whose states differ between main and a timeline, as they come in.
 *
 * TIMELINEDIFF1. A diff that broke off says so: a part is never shown as the whole.
 */
import { useEffect, useState } from "preact/hooks";
import { systemClock } from "../client/clock.ts";
import { diffEntries, type DiffEntry } from "../client/diff.ts";
import { Http } from "../client/http.ts";
import { KeyframeError } from "../client/keyframe-error.ts";
import { Patience } from "../client/patience.ts";
import { count, many } from "../client/amounts.ts";
import { stateChanges } from "./changes.ts";
import { Changes } from "./key-history.tsx";
import { clock } from "./text.ts";
import { timeOf } from "./moments.ts";
import { hrefOf } from "./place.ts";
import { token } from "./session.ts";

/** Keys that are shown. The rest is counted. */
const SHOWN = 200;
/** Keys between two drawings. */
const DRAWN_EACH_MS = 250;

interface Found {
  readonly keys: number;
  readonly entries: readonly DiffEntry<unknown>[];
  readonly state: "under way" | "done" | "stopped" | "failed";
  /** Of main and the timeline, once the diff is done. */
  readonly stamps: readonly [number, number] | null;
  readonly exact: boolean;
  readonly error: string | null;
  /** The timeline replays, and hasn't come to main's last events. */
  readonly isBehind: boolean;
}

const NOTHING: Found = {
  keys: 0,
  entries: [],
  state: "under way",
  stamps: null,
  exact: true,
  error: null,
  isBehind: false,
};

/** Before the first key, no number says anything. */
const WITHOUT_KEYS: Readonly<Record<Exclude<Found["state"], "done">, string>> = {
  "under way": "comparing",
  stopped: "stopped",
  failed: "not compared",
};
const SO_FAR: Readonly<Record<Found["state"], string>> = {
  "under way": " so far",
  stopped: " so far, stopped",
  failed: " so far, broken off",
  done: "",
};

export function TimelineDiff({ name }: { readonly name: string }) {
  const [found, setFound] = useState<Found>(NOTHING);
  const [round, setRound] = useState(0);
  const [stop, setStop] = useState<AbortController | null>(null);
  const used = token.value;
  useEffect(() => {
    const mine = new AbortController();
    setStop(mine);
    setFound(NOTHING);
    void compare(name, used, mine.signal, setFound);
    return () => mine.abort();
  }, [name, round, used]);
  const { keys, entries, state, stamps, exact, error, isBehind } = found;
  return (
    <section aria-labelledby="diff-title">
      <div class="row">
        <h3 id="diff-title">Differences from main</h3>
        <p role="status" class="pulse">
          {keys === 0 && state !== "done"
            ? WITHOUT_KEYS[state]
            : `${many(keys, "key")} ${keys === 1 ? "differs" : "differ"}${SO_FAR[state]}`}
        </p>
        {state === "under way" ? (
          <button type="button" class="small" onClick={() => stop?.abort()}>
            Stop
          </button>
        ) : (
          <button type="button" class="small" onClick={() => setRound((n) => n + 1)}>
            Compare again
          </button>
        )}
      </div>
      {error !== null && <p class="trouble">{error}</p>}
      {isBehind && (
        <p class="empty">
          It hasn't come to main's last events yet. The preview brings it there: compare again after that.
        </p>
      )}
      {!exact && (
        <p class="hint">
          Another version of the operators applied some of these events. This is what the present version makes of them.
        </p>
      )}
      {state === "done" && keys === 0 && <p class="empty">No state differs.</p>}
      {entries.length > 0 && (
        <div class="scroll tall" tabIndex={0} role="region" aria-label="Table of the keys that differ">
          <table>
            <thead>
              <tr>
                <th scope="col">Operator</th>
                <th scope="col">Key</th>
                <th scope="col">On main → on {name}</th>
              </tr>
            </thead>
            <tbody>
              {entries.map((entry) => (
                <tr key={`${entry.operator} ${entry.key}`}>
                  <td>{entry.operator}</td>
                  <th scope="row" class="mono">
                    <a href={hrefOf(entry.operator, "keys", { key: entry.key, at: `${name}@${stamps?.[1] ?? "now"}` })}>
                      {entry.key}
                    </a>
                  </th>
                  <td class="json">
                    <Changes changes={stateChanges(entry.from, entry.to)} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {keys > entries.length && (
        <p class="hint">
          The first {count(entries.length)} are shown. <code>keyframe diff now {name}@now</code> prints all.
        </p>
      )}
      {stamps !== null && <p class="hint">Main as of {clock(timeOf(stamps[0]))}, both from D1 and R2 alone.</p>}
    </section>
  );
}

async function compare(
  name: string,
  used: string | null,
  signal: AbortSignal,
  show: (found: Found) => void,
): Promise<void> {
  const entries: DiffEntry<unknown>[] = [];
  let keys = 0;
  let drawnAt = 0;
  const draw = (state: Found["state"], more: Partial<Found> = {}): void =>
    show({ ...NOTHING, keys, entries: [...entries], state, ...more });
  const calling = {
    http: new Http({
      url: location.origin,
      token: used,
      fetch: (url, init) => fetch(url, { ...init, signal: AbortSignal.any([init.signal, signal]) }),
      clock: systemClock,
      attemptMs: 30_000,
    }),
    patience: () => new Patience(systemClock, Math.random, { firstMs: 500, mostMs: 5_000, overallMs: 30_000 }),
    uuid: () => crypto.randomUUID(),
  };
  const all = diffEntries<unknown>(calling, { from: "main@now", to: `${name}@now` }, null);
  try {
    for (;;) {
      const next = await all.next();
      if (signal.aborted) break;
      if (next.done === true) {
        const { from, to, exact } = next.value;
        return draw("done", { stamps: [from, to], exact });
      }
      keys += 1;
      if (entries.length < SHOWN) entries.push(next.value);
      if (performance.now() - drawnAt < DRAWN_EACH_MS) continue;
      drawnAt = performance.now();
      draw("under way");
    }
    await all.return({ from: 0, to: 0, keys, exact: true });
    draw("stopped");
  } catch (error) {
    if (signal.aborted) draw("stopped");
    else if (error instanceof KeyframeError && error.code === "not_settled") draw("failed", { isBehind: true });
    else draw("failed", { error: error instanceof KeyframeError ? error.message : String(error) });
  }
}
