/**
 * The promotion of a timeline: its preview, and the button that makes it main.
 *
 * PROMOTIONPAGE1. The button sends the ETag of the preview that the reader sees. If other events would be given up by
 *     then, nothing is promoted, and the page shows the new preview.
 */
import { useEffect, useState } from "preact/hooks";
import type { PromotionDone, PromotionFacts, Stretches } from "../client/timelines.ts";
import { promotionPath } from "../client/paths.ts";
import { count, many } from "../client/amounts.ts";
import { ApiError, errorText, getTagged, post, type Tagged } from "./api.ts";
import { locked, token } from "./session.ts";
import { Sure } from "./sure.tsx";
import type { Said } from "./timelines-page.tsx";
import { TimeAgo } from "./when.tsx";

interface PromotionProps {
  readonly name: string;
  readonly say: (said: Said, choose?: string | null) => void;
}

export function Promotion({ name, say }: PromotionProps) {
  const [preview, setPreview] = useState<Tagged<PromotionFacts> | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [moved, setMoved] = useState(false);
  const [busy, setBusy] = useState(false);
  const [round, setRound] = useState(0);
  const used = token.value;
  const shut = locked.value !== null;
  useEffect(() => {
    if (shut) return;
    const mine = new AbortController();
    getTagged<PromotionFacts>(promotionPath(name), mine.signal).then(
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
  }, [name, round, used, shut]);
  const look = (): void => {
    setMoved(false);
    setRound((n) => n + 1);
  };
  const promote = async (etag: string): Promise<void> => {
    setBusy(true);
    try {
      const { former, givesUp } = await post<PromotionDone>(promotionPath(name), etag);
      const text = `${name} is main now. What was main is ${former}, with the ${many(givesUp.events, "event")} that main gave up.`;
      say({ tone: "good", text }, former);
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
          Preview again
        </button>
      </div>
      <div role="status">
        {moved && (
          <p class="trouble note">
            Main or {name} has logged other events since that preview, so nothing was promoted. This preview is new:
            look at it, and promote again.
          </p>
        )}
      </div>
      {error !== null && <p class="trouble">{error}</p>}
      {preview === null && error === null && <p class="empty">One moment.</p>}
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

const warning = (name: string, { mode, givesUp, takes }: PromotionFacts): string =>
  `${
    (mode as string) === "give_up"
      ? `Main gives up ${many(givesUp.events, "event")} and has ${many(takes.events, "event")} of ${name} instead.`
      : `The mode is ${mode}.`
  } Events that are sent meanwhile are answered 503 for a moment, and count once when they are sent again. What was main stays readable as main~1.`;

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

const Preview = ({ name, facts }: { readonly name: string; readonly facts: PromotionFacts }) => (
  <>
    <p class="hint">
      Mode <code>{facts.mode}</code>. Main and {name} have the same events up to <TimeAgo at={facts.partedTime} />.
    </p>
    <div class="pair">
      <Part title="Main gives up" part={facts.givesUp} none="No event." />
      <Part title={`It has of ${name} instead`} part={facts.takes} none="No event." />
    </div>
  </>
);

interface PartProps {
  readonly title: string;
  readonly part: Stretches;
  readonly none: string;
}

const Part = ({ title, part: { events, last, partitions }, none }: PartProps) => (
  <div class="part">
    <h4>
      {title}: {many(events, "event")}
    </h4>
    {events === 0 ? (
      <p class="dim">{none}</p>
    ) : (
      <>
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
      </>
    )}
  </div>
);

function byOperator(partitions: Stretches["partitions"]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { operator, first, last } of partitions) sums.set(operator, (sums.get(operator) ?? 0) + last - first + 1);
  return sums;
}
