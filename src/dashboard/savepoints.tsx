/** The savepoints of main: a list, saving one, and letting go of one. */
import { useState } from "preact/hooks";
import type { SavepointInfo } from "../client/savepoints.ts";
import { savepointPath } from "../client/paths.ts";
import { many } from "../client/amounts.ts";
import type { Answered } from "./answer.ts";
import { useActing } from "./acting.ts";
import { put, remove } from "./api.ts";
import { momentProblem } from "./moment-problem.ts";
import { Sure } from "./sure.tsx";
import { NameField, TextField } from "./text-field.tsx";
import { clock } from "./text.ts";
import type { Said } from "./said.ts";
import { TimeAgo } from "./when.tsx";

interface SavepointsProps {
  readonly found: Answered<readonly SavepointInfo[]>;
  readonly say: (said: Said) => void;
}

export function Savepoints({ found: { value, error }, say }: SavepointsProps) {
  const [busy, act] = useActing(say, momentProblem);
  const save = (name: string, at: string): void =>
    act(async () => {
      const { time } = await put<SavepointInfo>(savepointPath(name), at === "" ? {} : { at });
      say({ tone: "good", text: `${name} is saved: ${clock(time)}.` });
    });
  const letGo = (name: string): void =>
    act(async () => {
      await remove(savepointPath(name));
      say({ tone: "good", text: `Savepoint ${name} is deleted.` });
    });
  return (
    <section class="panel" aria-labelledby="savepoints-title">
      <h2 id="savepoints-title">Savepoints of main</h2>
      {error !== null && <p class="trouble">{error}</p>}
      {value?.length === 0 && <p class="empty">None. Retention keeps what a savepoint needs, until it is deleted.</p>}
      <ul class="cards">
        {value?.map((one) => (
          <One key={one.name} one={one} busy={busy} letGo={() => letGo(one.name)} />
        ))}
      </ul>
      <Save busy={busy} save={save} />
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
      <NameField label="Name of the savepoint" value={name} placeholder="month-end" change={setName} />
      <TextField label="Moment" value={at} placeholder="now" change={setAt} />
      <button type="submit" disabled={busy}>
        Save it
      </button>
    </form>
  );
}
