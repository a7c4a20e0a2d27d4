/** The key browser: keys by prefix, one key's state as it changes, and its history. */
import { useEffect, useState } from "preact/hooks";
import type { Page } from "../client/admin-answers.ts";
import type { Item } from "../client/operator-reads.ts";
import { operatorPath } from "../client/paths.ts";
import { get, errorText } from "./api.ts";
import { KeyHistory } from "./key-history.tsx";
import { KeyMoment } from "./key-moment.tsx";
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
  const go = (next: string): void => {
    const { prefix: _, ...rest } = Object.fromEntries(query);
    replace(hrefOf(operator, "keys", { ...(next === "" ? {} : { prefix: next }), ...rest }));
  };
  return (
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
        <Found operator={operator} prefix={prefix} chosen={key} />
        <p class="hint">A search for keys asks every partition, and wakes sleeping ones.</p>
      </section>
      <section class="panel" aria-labelledby="key-title">
        {key === null ? (
          <>
            <h2 id="key-title">State</h2>
            <p class="empty">Choose a key.</p>
          </>
        ) : (
          <OneKey key={key} operator={operator} name={key} />
        )}
      </section>
    </div>
  );
}

interface FoundProps {
  readonly operator: string;
  readonly prefix: string;
  readonly chosen: string | null;
}

function Found({ operator, prefix, chosen }: FoundProps) {
  const [page, setPage] = useState<Page<Item<unknown>> | null>(null);
  const [error, setError] = useState<string | null>(null);
  const used = token.value;
  const shut = locked.value !== null;
  const load = async (cursor: string | null, signal?: AbortSignal): Promise<void> => {
    const query = new URLSearchParams({ prefix, limit: String(PAGE), ...(cursor === null ? {} : { cursor }) });
    try {
      const next = await get<Page<Item<unknown>>>(`${operatorPath(operator)}/state?${query}`, signal);
      if (signal?.aborted) return;
      setError(null);
      setPage((before) =>
        cursor === null || before === null ? next : { ...next, items: [...before.items, ...next.items] },
      );
    } catch (error) {
      if (!signal?.aborted) setError(errorText(error));
    }
  };
  useEffect(() => {
    if (shut) return;
    const mine = new AbortController();
    const timer = setTimeout(() => void load(null, mine.signal), page === null ? 0 : TYPING_MS);
    return () => {
      clearTimeout(timer);
      mine.abort();
    };
  }, [operator, prefix, used, shut]);
  if (error !== null) return <p class="trouble">{error}</p>;
  if (page === null) return <p class="empty">One moment.</p>;
  if (page.items.length === 0)
    return <p class="empty">{prefix === "" ? "No key has state yet." : "No key begins with this."}</p>;
  return (
    <>
      <ul class="keylist">
        {page.items.map(({ key, value }) => (
          <li key={key}>
            <a
              href={hrefOf(operator, "keys", { ...(prefix === "" ? {} : { prefix }), key })}
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

function OneKey({ operator, name }: { readonly operator: string; readonly name: string }) {
  const { by, value, seq, state, error } = useLiveKey(operator, name);
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
      {value !== undefined && value !== null && <Tree value={value} />}
      {value !== undefined && <KeyMoment operator={operator} name={name} />}
      {value !== undefined && <KeyHistory operator={operator} name={name} seq={seq} />}
    </>
  );
}

const BY = { asking: "asking", watch: "live" } as const;
