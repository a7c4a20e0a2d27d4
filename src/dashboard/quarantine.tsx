/** Events whose handler threw, grouped by type and error: their data, the error, and the ways to end the quarantine. */
import { useEffect, useState } from "preact/hooks";
import type {
  Page,
  QuarantinedInfo,
  QuarantineGroupInfo,
  QuarantineGroups,
  SteeredPage,
} from "../client/admin-answers.ts";
import { operatorPath } from "../client/paths.ts";
import { get, errorText, post, remove } from "./api.ts";
import type { Said } from "./said.ts";
import { locked, token } from "./session.ts";
import { Sure } from "./sure.tsx";
import { count, many } from "../client/amounts.ts";
import { Tree } from "./tree.tsx";
import { TimeAgo } from "./when.tsx";

/** Entries of a group that are requested at once. */
const LIMIT = 20;

export function QuarantinePage({ operator }: { readonly operator: string }) {
  const [found, setFound] = useState<QuarantineGroups | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [said, setSaid] = useState<Said | null>(null);
  const used = token.value;
  const shut = locked.value !== null;
  const load = async (): Promise<void> => {
    try {
      setFound(await get<QuarantineGroups>(`${operatorPath(operator)}/quarantine/groups`));
      setError(null);
    } catch (error) {
      setError(errorText(error));
    }
  };
  useEffect(() => {
    if (!shut) void load();
  }, [operator, used, shut]);
  const say = (next: Said): void => {
    setSaid(next);
    void load();
  };
  return (
    <>
      <section class="panel" aria-labelledby="quarantine-title">
        <div class="row">
          <h2 id="quarantine-title">
            Quarantine{found === null ? "" : `: ${many(found.events, "event")}, ${many(found.groups, "kind")} of error`}
          </h2>
          <button type="button" onClick={() => void load()}>
            Look again
          </button>
        </div>
        <p class="hint">
          If a handler throws, the state stays as before, and the event is quarantined here. Opening this page asks
          every partition once, and wakes sleeping ones.
        </p>
        <p role="status" class={`said ${said?.tone ?? ""}`}>
          {said?.text}
        </p>
        {error !== null && <p class="trouble">{error}</p>}
        {found === null && error === null && <p class="empty">One moment.</p>}
        {found?.events === 0 && <p class="empty">Empty: no event of this operator is quarantined.</p>}
      </section>
      {found?.items.map((group) => (
        <Group key={`${group.type} ${group.errorName} ${group.error}`} operator={operator} group={group} say={say} />
      ))}
      {found !== null && found.groups > found.items.length && (
        <p class="hint">The largest {found.items.length} kinds of error are shown.</p>
      )}
    </>
  );
}

/** The parameters that select a group's events. */
const selection = ({ type, errorName = "", error }: QuarantineGroupInfo): Record<string, string> => ({
  type,
  errorName,
  error,
});

interface GroupProps {
  readonly operator: string;
  readonly group: QuarantineGroupInfo;
  readonly say: (said: Said) => void;
}

function Group({ operator, group, say }: GroupProps) {
  const [page, setPage] = useState<Page<QuarantinedInfo> | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState<string | null>(null);
  const { type, errorName, error: message, events, since } = group;
  const path = `${operatorPath(operator)}/quarantine`;
  const load = async (cursor: string | null): Promise<void> => {
    const query = { ...selection(group), limit: String(LIMIT), ...(cursor === null ? {} : { cursor }) };
    try {
      const next = await get<Page<QuarantinedInfo>>(`${path}?${new URLSearchParams(query)}`);
      setError(null);
      setPage((had) => (cursor === null || had === null ? next : { ...next, items: [...had.items, ...next.items] }));
    } catch (error) {
      setError(errorText(error));
    }
  };
  useEffect(() => void load(null), [operator, events]);
  const steer = async (command: "retry" | "delete"): Promise<void> => {
    try {
      const text = await steerAll(`${path}/${command}`, selection(group), setBusy);
      say(text);
    } catch (error) {
      say({ tone: "bad", text: errorText(error) });
    } finally {
      setBusy(null);
    }
  };
  const title = errorName === undefined ? message : `${errorName}: ${message}`;
  const shown = page?.items[0];
  return (
    <section class="panel" aria-label={`${type}: ${title}`}>
      <div class="row">
        <h2>
          {many(events, "event")} of <code>{type}</code>
        </h2>
        <span class="dim">
          the oldest <TimeAgo at={since} />
        </span>
      </div>
      <p class="error">{title}</p>
      {shown?.stack !== undefined && shown.stack !== "" && <pre class="stack">{shown.stack}</pre>}
      {events > 1 && (
        <p class="actions">
          <Sure
            mild
            label={`Retry all ${count(events)}`}
            title={`Retry ${many(events, "event")}?`}
            yes="Retry them"
            disabled={busy !== null}
            act={() => void steer("retry")}
          >
            The deployed handler runs again for each event, in the order of the log. Events that throw again stay here.
          </Sure>
          <Sure
            label={`Delete all ${count(events)}`}
            title={`Delete ${many(events, "event")}?`}
            yes="Delete them"
            no="Keep them"
            disabled={busy !== null}
            act={() => void steer("delete")}
          >
            They stay in the log as history, but will never take effect. This can't be undone.
          </Sure>
          <span role="status" class="dim">
            {busy}
          </span>
        </p>
      )}
      {error !== null && <p class="trouble">{error}</p>}
      <ul class="cards">
        {page?.items.map((one) => (
          <Card key={one.id} operator={operator} one={one} say={say} />
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

/** Steers page after page, until none is left. */
async function steerAll(
  path: string,
  selected: Record<string, string>,
  tell: (progress: string) => void,
): Promise<Said> {
  const sums = { applied: 0, refused: 0, quarantined: 0, gone: 0 };
  let command = "";
  for (let cursor: string | undefined = ""; cursor !== undefined;) {
    const query = new URLSearchParams({ ...selected, ...(cursor === "" ? {} : { cursor }) });
    const done: SteeredPage = await post<SteeredPage>(`${path}?${query}`);
    for (const name of ["applied", "refused", "quarantined", "gone"] as const) sums[name] += done[name];
    command = done.command;
    cursor = done.cursor;
    tell(`${count(sums.applied + sums.refused + sums.quarantined)} done`);
  }
  const gone = sums.gone === 0 ? "" : `; ${count(sums.gone)} were gone meanwhile`;
  if (command === "delete") return { tone: "good", text: `${many(sums.applied, "event")} deleted${gone}.` };
  const parts = [
    `${many(sums.applied, "event")} applied`,
    ...(sums.refused === 0 ? [] : [`${count(sums.refused)} refused`]),
    ...(sums.quarantined === 0 ? [] : [`${count(sums.quarantined)} threw again`]),
  ];
  return { tone: sums.quarantined === 0 ? "good" : "bad", text: `${parts.join(", ")}${gone}.` };
}

interface CardProps {
  readonly operator: string;
  readonly one: QuarantinedInfo;
  readonly say: (said: Said) => void;
}

interface Steered {
  readonly status: string;
  readonly error?: string;
  readonly code?: string;
}

/** The data comes first, since a reader looks for it. */
function Card({ operator, one, say }: CardProps) {
  const [busy, setBusy] = useState(false);
  const { id, partition, seq, key, time, event, operatorVersion, code } = one;
  const path = `${operatorPath(operator)}/quarantine/${encodeURIComponent(id)}`;
  const steer = async (command: "retry" | "delete"): Promise<void> => {
    setBusy(true);
    try {
      const answer = await (command === "retry" ? post<Steered>(`${path}/retry`) : remove<Steered>(path));
      say(saidOf(id, command, answer));
    } catch (error) {
      say({ tone: "bad", text: errorText(error) });
    } finally {
      setBusy(false);
    }
  };
  return (
    <li>
      <Tree name="data" value={event.data ?? null} depth={2} />
      <dl class="line">
        <dt>key</dt>
        <dd class="mono">{key}</dd>
        <dt>received</dt>
        <dd>
          <TimeAgo at={time} />
        </dd>
        <dt>partition</dt>
        <dd>{partition}</dd>
        <dt>seq</dt>
        <dd>{count(seq)}</dd>
        <dt>code</dt>
        <dd>
          <code>{code}</code>, operator version {operatorVersion}
        </dd>
      </dl>
      <Tree name="event" value={event} depth={3} />
      <p class="actions">
        <button type="button" class="strong" disabled={busy} onClick={() => void steer("retry")}>
          Retry
        </button>
        <Sure
          label="Delete"
          title={`Delete event ${id}?`}
          yes="Delete it"
          no="Keep it"
          disabled={busy}
          act={() => void steer("delete")}
        >
          It stays in the log as history, but will never take effect. This can't be undone.
        </Sure>
      </p>
    </li>
  );
}

function saidOf(id: string, command: "retry" | "delete", { status, error, code }: Steered): Said {
  if (command === "delete") return { tone: "good", text: `Event ${id} is deleted.` };
  if (status === "quarantined") return { tone: "bad", text: `Event ${id} threw again: ${error}` };
  return { tone: "good", text: `Event ${id} ${status === "refused" ? `was refused: ${code}` : "is applied"}.` };
}
