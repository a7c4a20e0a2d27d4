/** The savepoints of main: a list, saving one, and letting go of one. */
import { useState } from "preact/hooks";
import type { SavepointInfo } from "../client/savepoints.ts";
import { savepointPath } from "../client/paths.ts";
import { many } from "../client/amounts.ts";
import type { Answered } from "./answer.ts";
import { put, remove } from "./api.ts";
import { momentProblem } from "./moment-problem.ts";
import { Sure } from "./sure.tsx";
import { clock } from "./text.ts";
import type { Said } from "./said.ts";
import { TimeAgo } from "./when.tsx";

interface SavepointsProps {
  readonly found: Answered<readonly SavepointInfo[]>;
  readonly say: (said: Said) => void;
}

export function Savepoints({ found: { value, error }, say }: SavepointsProps) {
  const [busy, setBusy] = useState(false);
  const act = async (done: () => Promise<string>): Promise<void> => {
    setBusy(true);
    try {
      say({ tone: "good", text: await done() });
    } catch (error) {
      say({ tone: "bad", text: momentProblem(error) });
    } finally {
      setBusy(false);
    }
  };
  const save = (name: string, at: string): Promise<void> =>
    act(async () => {
      const { time } = await put<SavepointInfo>(savepointPath(name), at === "" ? {} : { at });
      return `${name} is saved: ${clock(time)}.`;
    });
  const letGo = (name: string): Promise<void> =>
    act(async () => {
      await remove(savepointPath(name));
      return `Savepoint ${name} is deleted.`;
    });
  return (
    <section class="panel" aria-labelledby="savepoints-title">
      <h2 id="savepoints-title">Savepoints of main</h2>
      {error !== null && <p class="trouble">{error}</p>}
      {value?.length === 0 && <p class="empty">None. Retention keeps what a savepoint needs, until it is deleted.</p>}
      <ul class="cards">
        {value?.map((one) => (
          <One key={one.name} one={one} busy={busy} letGo={() => void letGo(one.name)} />
        ))}
      </ul>
      <Save busy={busy} save={(name, at) => void save(name, at)} />
    </section>
  );
}

interface OneProps {
  readonly one: SavepointInfo;
  readonly busy: boolean;
  readonly letGo: () => void;
}

const One = ({ one: { name, time, restorable, unarchived = 0 }, busy, letGo }: OneProps) => (
  <li class="savepoint">
    <div>
      <b>{name}</b>{" "}
      <span class="dim">
        <TimeAgo at={time} />
        {!restorable && `; ${many(unarchived, "partition")} not yet in R2`}
      </span>
    </div>
    <Sure label="Delete" title={`Delete savepoint ${name}?`} yes="Delete it" no="Keep it" disabled={busy} act={letGo}>
      Retention decides alone again what is kept of this moment. The name can be given anew.
    </Sure>
  </li>
);

function Save({ busy, save }: { readonly busy: boolean; readonly save: (name: string, at: string) => void }) {
  const [name, setName] = useState("");
  const [at, setAt] = useState("");
  return (
    <form
      class="fields saving"
      onSubmit={(event) => {
        event.preventDefault();
        save(name.trim(), at.trim());
        setName("");
        setAt("");
      }}
    >
      <label class="field">
        Name of the savepoint
        <input
          type="text"
          required
          pattern="[a-z][a-z0-9\-]{0,62}"
          title="a-z, 0-9 and '-', beginning with a letter"
          value={name}
          placeholder="month-end"
          onInput={(event) => setName(event.currentTarget.value)}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
        />
      </label>
      <label class="field">
        Moment
        <input
          type="text"
          value={at}
          placeholder="now"
          onInput={(event) => setAt(event.currentTarget.value)}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
        />
      </label>
      <button type="submit" disabled={busy}>
        Save it
      </button>
    </form>
  );
}
