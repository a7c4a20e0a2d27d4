/** The key browser: keys by prefix, one key's state as it changes, and its history. */
import { useEffect, useState } from "preact/hooks";
import type { Page } from "../client/admin-answers.ts";
import { momentOn } from "../client/moment.ts";
import type { Item } from "../client/operator-reads.ts";
import { operatorPath } from "../client/paths.ts";
import { get, errorText } from "./api.ts";
import { KeyHistory } from "./key-history.tsx";
import { PendingTimers } from "./key-timers.tsx";
import { Since, Then, usePast, type MomentOfPage } from "./key-moment.tsx";
import { MomentBar, type MomentBarProps } from "./moment-bar.tsx";
import { momentProblem } from "./moment-problem.ts";
import { isSettled, settledAs } from "./moments.ts";
import { useLiveKey } from "./live-key.ts";
import { hrefOf, place, replace } from "./place.ts";
import { locked, token } from "./session.ts";
import { count } from "../client/amounts.ts";
import { Tree } from "./tree.tsx";
import { TimeAgo } from "./when.tsx";

const PAGE = 100;
/** The pause in typing after which the keys are requested. */
const TYPING_MS = 250;

export function KeysPage({ operator }: { readonly operator: string }) {
  const { query } = place.value;
  const key = query.get("key");
  const prefix = query.get("prefix") ?? "";
  const { page, bar } = useMoment(operator);
  const go = (next: string): void => {
    const { prefix: _, ...rest } = Object.fromEntries(query);
    replace(hrefOf(operator, "keys", { ...(next === "" ? {} : { prefix: next }), ...rest }));
  };
  return (
    <>
      <MomentBar operator={operator} {...bar} />
      <div class="split">
        <section class="panel" aria-labelledby="find-title">
          <h2 id="find-title">Keys</h2>
          <label class="field">
            Prefix
            <input
              type="search"
              value={prefix}
              onInput={(event) => go(event.currentTarget.value)}
              autocomplete="off"
              autocapitalize="off"
              spellcheck={false}
            />
          </label>
          <Found operator={operator} prefix={prefix} chosen={key} page={page} />
          <p class="hint">
            {page.moment === null
              ? "A search for keys asks every partition, and wakes sleeping ones."
              : "The past is read from D1 and R2, and wakes no partition."}
          </p>
        </section>
        <section class="panel" aria-labelledby="key-title">
          {key === null ? (
            <>
              <h2 id="key-title">State</h2>
              <p class="empty">Choose a key.</p>
            </>
          ) : (
            <OneKey key={key} operator={operator} name={key} page={page} />
          )}
        </section>
      </div>
    </>
  );
}

/** The moment in the address: for the views that read it, and for the bar that chooses it. */
function useMoment(operator: string): { page: MomentOfPage; bar: Omit<MomentBarProps, "operator"> } {
  const moment = place.value.query.get("at");
  const [round, setRound] = useState(0);
  const [problem, setProblem] = useState<string | null>(null);
  const put = (at: string | null): void => {
    const { at: _, ...rest } = Object.fromEntries(place.value.query);
    replace(hrefOf(operator, "keys", { ...rest, ...(at === null ? {} : { at }) }));
  };
  const choose = (at: string | null): void => {
    setProblem(null);
    put(at);
    setRound((n) => n + 1);
  };
  const broken = problem !== null;
  // The reader may have chosen another moment since the request.
  const settled = (at: string): void => {
    if (place.value.query.get("at") === moment) put(at);
  };
  const page = { moment, broken, round, settled, failed: (error: unknown) => setProblem(momentProblem(error)) };
  return { page, bar: { moment, problem, choose } };
}

interface FoundProps {
  readonly operator: string;
  readonly prefix: string;
  readonly chosen: string | null;
  readonly page: MomentOfPage;
}

/** `asked`: what was asked for, with the stamp that the moment means. */
type FoundPage = Page<Item<unknown>> & { readonly at?: number; readonly asked?: string };

function Found({ operator, prefix, chosen, page: { moment, broken, round, settled, failed } }: FoundProps) {
  const [page, setPage] = useState<FoundPage | null>(null);
  const [error, setError] = useState<string | null>(null);
  // One answer says what the moment means, so that the list and the key show the same one.
  const waits = moment !== null && chosen !== null && !isSettled(moment);
  const used = token.value;
  const shut = locked.value !== null;
  const load = async (cursor: string | null, signal?: AbortSignal): Promise<void> => {
    const query = new URLSearchParams({
      prefix,
      limit: String(PAGE),
      ...(cursor === null ? {} : { cursor }),
      ...(moment === null ? {} : { at: moment }),
    });
    try {
      const next = await get<FoundPage>(`${operatorPath(operator)}/state?${query}`, signal);
      if (signal?.aborted) return;
      const meant = moment === null || next.at === undefined ? null : settledAs(moment, next.at);
      const asked = `${meant} ${prefix}`;
      setError(null);
      setPage((before) =>
        cursor === null || before === null
          ? { ...next, asked }
          : { ...next, asked, items: [...before.items, ...next.items] },
      );
      if (meant !== null) settled(meant);
    } catch (error) {
      if (signal?.aborted) return;
      if (moment === null) setError(errorText(error));
      else {
        setPage(null);
        failed(error);
      }
    }
  };
  useEffect(() => {
    if (moment !== null) setError(null);
    if (shut || waits || (moment !== null && page?.asked === `${moment} ${prefix}`)) return;
    const mine = new AbortController();
    const timer = setTimeout(() => void load(null, mine.signal), page === null ? 0 : TYPING_MS);
    return () => {
      clearTimeout(timer);
      mine.abort();
    };
  }, [operator, prefix, used, shut, moment, round, waits]);
  if (error !== null) return <p class="trouble">{error}</p>;
  if (page === null || broken)
    return <p class="empty">{moment === null ? "One moment." : "No keys of that moment to show."}</p>;
  if (page.items.length === 0)
    return (
      <p class="empty">
        {prefix !== "" ? "No key begins with this." : moment === null ? "No key has state yet." : "No key had state."}
      </p>
    );
  return (
    <>
      <ul class="keylist">
        {page.items.map(({ key, value }) => (
          <li key={key}>
            <a
              href={hrefOf(operator, "keys", {
                ...(prefix === "" ? {} : { prefix }),
                key,
                ...(moment === null ? {} : { at: moment }),
              })}
              aria-current={key === chosen ? "true" : undefined}
            >
              <span class="name">{key}</span> <span class="glimpse">{glimpse(value)}</span>
            </a>
          </li>
        ))}
      </ul>
      {page.cursor !== undefined && (
        <button type="button" class="quiet" onClick={() => void load(page.cursor!)}>
          More keys
        </button>
      )}
    </>
  );
}

const glimpse = (value: unknown): string => JSON.stringify(value).slice(0, 120);

interface OneKeyProps {
  readonly operator: string;
  readonly name: string;
  readonly page: MomentOfPage;
}

function OneKey({ operator, name, page }: OneKeyProps) {
  const { by, value, seq, state, error } = useLiveKey(operator, name);
  const past = usePast(operator, name, page);
  return (
    <>
      <div class="row">
        <h2 id="key-title" class="mono">
          {name}
        </h2>
        <p class="pulse">{BY[by]}</p>
      </div>
      {error !== null && <p class="trouble">{error}</p>}
      {value === undefined && error === null && <p class="empty">One moment.</p>}
      {value === null && <p class="empty">This key has no state.</p>}
      {state !== null && value !== null && (
        <dl class="line">
          <dt>partition</dt>
          <dd>
            <a href={hrefOf(operator, "partitions", { partition: String(state.partition) })}>{state.partition}</a>
          </dd>
          <dt>seq</dt>
          <dd>{count(seq ?? state.seq)}</dd>
          {(seq === null || seq === state.seq) && (
            <>
              <dt>changed</dt>
              <dd>
                <TimeAgo at={state.time} />
              </dd>
            </>
          )}
          <dt />
          <dd>
            <a href={hrefOf(operator, "verify", { partition: String(state.partition), key: name })}>
              test a recovery with this key
            </a>
          </dd>
        </dl>
      )}
      {value !== undefined && value !== null && <PendingTimers operator={operator} name={name} seq={seq} />}
      {past === null ? (
        value !== undefined && value !== null && <Tree value={value} />
      ) : (
        <>
          <div class="pair">
            <Then past={past} />
            <section aria-labelledby="now-title">
              <h3 id="now-title">Now{momentOn(past.moment).timeline !== null && ", on main"}</h3>
              {value !== undefined && value !== null && <Tree value={value} />}
            </section>
          </div>
          {value !== undefined && <Since past={past} value={value} />}
        </>
      )}
      {value !== undefined && <KeyHistory operator={operator} name={name} seq={seq} />}
    </>
  );
}

const BY = { asking: "asking", watch: "live" } as const;
