/**
 * The promotion of a timeline: its preview, and the button that makes it main.
 *
 * PROMOTIONPAGE1. The button sends the ETag of the preview that the reader sees. If other events would be given up by
 *     then, nothing is promoted, and the page shows the new preview.
 */
import { useEffect, useState } from "preact/hooks";
import type { Rescaling, Stretches } from "../client/timelines.ts";
import { promotionPath } from "../client/paths.ts";
import { count, many } from "../client/amounts.ts";
import { ApiError, errorText, getTagged, post, type Tagged } from "./api.ts";
import { locked, token } from "./session.ts";
import { Sure } from "./sure.tsx";
import type { Said } from "./said.ts";
import { TimeAgo } from "./when.tsx";

/** Main gives up what it has logged since both parted. */
interface GivingUp {
  readonly mode: "give_up";
  readonly partedTime: string;
  readonly givesUp: Stretches;
  readonly takes: Stretches;
}

/** The timeline has taken in all that main logged, so main gives up nothing. Outcomes may change. */
interface Follow {
  readonly mode: "follow";
  readonly changes: {
    readonly events: number;
    readonly partitions: readonly { readonly operator: string; readonly events: number }[];
  };
}

type Facts = GivingUp | Follow | Rescaling;

interface PromotionProps {
  readonly name: string;
  /** The preview brings the timeline up to main first, so only a press of the button asks for it. */
  readonly waits: boolean;
  readonly say: (said: Said, choose?: string | null) => void;
}

export function PromotionPanel({ name, waits, say }: PromotionProps) {
  const [preview, setPreview] = useState<Tagged<Facts> | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [moved, setMoved] = useState(false);
  const [busy, setBusy] = useState(false);
  const [round, setRound] = useState(0);
  const used = token.value;
  const shut = locked.value !== null;
  const asked = !waits || round > 0;
  useEffect(() => {
    if (shut || !asked) return;
    const mine = new AbortController();
    getTagged<Facts>(promotionPath(name), mine.signal).then(
      (found) => {
        if (mine.signal.aborted) return;
        setPreview(found);
        setError(null);
      },
      (error: unknown) => {
        if (!mine.signal.aborted) setError(errorText(error));
      },
    );
    return () => mine.abort();
  }, [name, asked, round, used, shut]);
  const look = (): void => {
    setMoved(false);
    setRound((n) => n + 1);
  };
  const promote = async (etag: string): Promise<void> => {
    setBusy(true);
    try {
      const done = await post<Facts & { readonly former: string }>(promotionPath(name), etag);
      const kept = done.mode === "give_up" ? `, with the ${many(done.givesUp.events, "event")} that main gave up` : "";
      say({ tone: "good", text: `${name} is main now. What was main is ${done.former}${kept}.` }, done.former);
    } catch (error) {
      if (error instanceof ApiError && error.status === 412) {
        setMoved(true);
        setRound((n) => n + 1);
      } else say({ tone: "bad", text: promotionProblem(name, error) });
    } finally {
      setBusy(false);
    }
  };
  return (
    <section aria-labelledby="promotion-title">
      <div class="row">
        <h3 id="promotion-title">Promotion</h3>
        <button type="button" class="small" onClick={look}>
          {asked ? "Preview again" : "Preview"}
        </button>
      </div>
      <div role="status">
        {moved && (
          <p class="trouble note">
            Main or {name} has other events or outcomes than that preview, so nothing was promoted. This preview is new:
            look at it, and promote again.
          </p>
        )}
      </div>
      {error !== null && <p class="trouble">{error}</p>}
      {preview === null && error === null && (
        <p class="empty">{asked ? "One moment." : "The preview brings the timeline up to main first."}</p>
      )}
      {preview !== null && (
        <>
          <Preview name={name} facts={preview.value} />
          <p class="actions">
            <Sure
              label={`Promote ${name}`}
              title={`Make ${name} main?`}
              yes="Make it main"
              no="Leave main as it is"
              disabled={busy || preview.etag === null}
              act={() => void promote(preview.etag!)}
            >
              {warning(name, preview.value)}
            </Sure>
          </p>
        </>
      )}
    </section>
  );
}

function priceOf(name: string, facts: Facts): string {
  switch (facts.mode) {
    case "give_up":
      return `Main gives up ${many(facts.givesUp.events, "event")} and has ${many(facts.takes.events, "event")} of ${name} instead.`;
    case "follow":
      return `Main gives up no event, and ${many(facts.changes.events, "outcome")} will differ.`;
    case "rescale":
      return "Main gives up no event, and no outcome changes.";
  }
}

function warning(name: string, facts: Facts): string {
  return `${priceOf(name, facts)} Events that are sent meanwhile are answered 503 for a moment, and count once when they are sent again. What was main stays readable as main~1.`;
}

function promotionProblem(name: string, error: unknown): string {
  if (!(error instanceof ApiError)) return errorText(error);
  const words = WORDS[error.code];
  return words === undefined ? errorText(error) : `${words(name)} (${error.code})`;
}

const WORDS: Readonly<Record<string, (name: string) => string>> = {
  promotion_busy: () => "Another promotion is under way, or came first. Nothing was promoted by this one.",
  timeline_unrelated: (name) => `${name} doesn't start from main, so it can't be promoted.`,
  no_timeline: (name) => `There is no timeline ${name} any more.`,
};

function Preview({ name, facts }: { readonly name: string; readonly facts: Facts }) {
  if (facts.mode === "rescale")
    return (
      <>
        <p class="hint">
          Mode <code>rescale</code>: {name} starts where main ends. Main gives up no event, and no outcome changes.
        </p>
        <ul>
          {Object.entries(facts.partitions).map(([operator, { from, to }]) => (
            <li key={operator}>
              {operator}: {many(to, "partition")} instead of {from}
            </li>
          ))}
        </ul>
      </>
    );
  if (facts.mode === "follow") {
    const { events, partitions } = facts.changes;
    return (
      <>
        <p class="hint">
          Mode <code>follow</code>: {name} has taken in what main logged. Main gives up no event.
        </p>
        <Part title="Outcomes that change" what="outcome" events={events} partitions={partitions} />
      </>
    );
  }
  const { mode, partedTime, givesUp, takes } = facts;
  return (
    <>
      <p class="hint">
        Mode <code>{mode}</code>. Main and {name} have the same events up to <TimeAgo at={partedTime} />.
      </p>
      <div class="pair">
        <Part title="Main gives up" {...countsOf(givesUp)} />
        <Part title={`It has of ${name} instead`} {...countsOf(takes)} />
      </div>
    </>
  );
}

const countsOf = ({ partitions, ...rest }: Stretches): Omit<PartProps, "title"> => ({
  ...rest,
  partitions: partitions.map(({ operator, first, last }) => ({ operator, events: last - first + 1 })),
});

interface PartProps {
  readonly title: string;
  readonly what?: string;
  readonly events: number;
  /** The time of the last one. */
  readonly last?: string;
  readonly partitions: readonly { readonly operator: string; readonly events: number }[];
}

const Part = ({ title, what = "event", events, last, partitions }: PartProps) => (
  <div class="part">
    <h4>
      {title}: {many(events, what)}
    </h4>
    <ul class="counts">
      {[...byOperator(partitions)].map(([operator, n]) => (
        <li key={operator}>
          {operator} <b>{count(n)}</b>
        </li>
      ))}
    </ul>
    {last !== undefined && (
      <p class="dim">
        the last one <TimeAgo at={last} />
      </p>
    )}
  </div>
);

function byOperator(partitions: PartProps["partitions"]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { operator, events } of partitions) sums.set(operator, (sums.get(operator) ?? 0) + events);
  return sums;
}
