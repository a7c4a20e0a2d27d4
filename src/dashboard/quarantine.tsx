/** Events whose handler threw: why, which, and what to do with them. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { QuarantinePage, Quarantined } from "./answers.ts";
import { get, messageOf, operatorPath, post, remove } from "./api.ts";
import { locked, token } from "./session.ts";
import { count } from "./text.ts";
import { Tree } from "./tree.tsx";
import { When } from "./when.tsx";

const LIMIT = 50;

interface Said {
  readonly tone: "good" | "bad";
  readonly text: string;
}

export function Quarantine({ operator }: { readonly operator: string }) {
  const [page, setPage] = useState<QuarantinePage | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [said, setSaid] = useState<Said | null>(null);
  const used = token.value;
  const shut = locked.value !== null;
  const load = async (cursor: string | null): Promise<void> => {
    const query = new URLSearchParams({ limit: String(LIMIT), ...(cursor === null ? {} : { cursor }) });
    try {
      const next = await get<QuarantinePage>(`${operatorPath(operator)}/quarantine?${query}`);
      setError(null);
      setPage((had) => (cursor === null || had === null ? next : { ...next, items: [...had.items, ...next.items] }));
    } catch (error) {
      setError(messageOf(error));
    }
  };
  useEffect(() => {
    if (!shut) void load(null);
  }, [operator, used, shut]);
  const gone = (id: string): void =>
    setPage((had) => (had === null ? had : { ...had, items: had.items.filter((one) => one.id !== id) }));
  return (
    <section class="panel" aria-labelledby="quarantine-title">
      <div class="row">
        <h2 id="quarantine-title">Quarantine</h2>
        <button type="button" onClick={() => void load(null)}>
          Look again
        </button>
      </div>
      <p class="hint">
        A handler that throws leaves no trace in the state; its event waits here. Opening this page asks every partition
        once, and wakes those that sleep.
      </p>
      <p role="status" class={`said ${said?.tone ?? ""}`}>
        {said?.text}
      </p>
      {error !== null && <p class="trouble">{error}</p>}
      {page === null && error === null && <p class="empty">One moment.</p>}
      {page?.items.length === 0 && <p class="empty">Empty. No handler of this operator has thrown.</p>}
      <ul class="cards">
        {page?.items.map((one) => (
          <Card key={one.id} operator={operator} one={one} say={setSaid} gone={gone} />
        ))}
      </ul>
      {page?.cursor !== undefined && (
        <button type="button" onClick={() => void load(page.cursor!)}>
          More
        </button>
      )}
    </section>
  );
}

interface CardProps {
  readonly operator: string;
  readonly one: Quarantined;
  readonly say: (said: Said) => void;
  readonly gone: (id: string) => void;
}

interface Steered {
  readonly status: string;
  readonly error?: string;
  readonly code?: string;
}

function Card({ operator, one, say, gone }: CardProps) {
  const [busy, setBusy] = useState(false);
  const sure = useRef<HTMLDialogElement>(null);
  const { id, partition, seq, key, error, time, event } = one;
  const path = `${operatorPath(operator)}/quarantine/${encodeURIComponent(id)}`;
  const steer = async (command: "retry" | "delete"): Promise<void> => {
    sure.current?.close();
    setBusy(true);
    try {
      const answer = await (command === "retry" ? post<Steered>(`${path}/retry`) : remove<Steered>(path));
      if (answer.status === "quarantined") {
        say({ tone: "bad", text: `Event ${id} threw again: ${answer.error}` });
        return;
      }
      const what =
        command === "delete"
          ? "is deleted"
          : answer.status === "refused"
            ? `was refused: ${answer.code}`
            : "is applied";
      say({ tone: "good", text: `Event ${id} ${what}.` });
      gone(id);
    } catch (error) {
      say({ tone: "bad", text: messageOf(error) });
    } finally {
      setBusy(false);
    }
  };
  return (
    <li>
      <p class="error">{error}</p>
      <dl class="line">
        <dt>type</dt>
        <dd>{event.type}</dd>
        <dt>key</dt>
        <dd class="mono">{key}</dd>
        <dt>partition</dt>
        <dd>{partition}</dd>
        <dt>seq</dt>
        <dd>{count(seq)}</dd>
        <dt>received</dt>
        <dd>
          <When at={time} />
        </dd>
      </dl>
      <Tree name="event" value={event} depth={2} />
      <p class="actions">
        <button type="button" class="strong" disabled={busy} onClick={() => void steer("retry")}>
          Retry
        </button>
        <button type="button" disabled={busy} onClick={() => sure.current?.showModal()}>
          Delete…
        </button>
      </p>
      <dialog ref={sure} aria-label={`Delete event ${id}?`}>
        <p>Delete event {id}? It stays in the log as history, but will never take effect.</p>
        <p class="actions">
          <button type="button" class="strong" onClick={() => void steer("delete")}>
            Delete it
          </button>
          <button type="button" onClick={() => sure.current?.close()}>
            Keep it
          </button>
        </p>
      </dialog>
    </li>
  );
}
