/**
 * State as a tree. Values with members open and close (natively, for keys and screen readers). A change is marked for a
 * moment.
 */
import { useRef, useState } from "preact/hooks";
import { many } from "../client/amounts.ts";

/** Members that are shown at once. */
const PAGE = 100;
/** Deeper values start closed. */
const OPEN_DEPTH = 3;

export interface TreeProps {
  readonly value: unknown;
  readonly name?: string;
  readonly depth?: number;
}

export function Tree({ value, name, depth = 0 }: TreeProps) {
  if (typeof value !== "object" || value === null) return <Leaf name={name} value={value} />;
  return <Branch name={name} value={value} depth={depth} />;
}

interface BranchProps {
  readonly name: string | undefined;
  readonly value: object;
  readonly depth: number;
}

function Branch({ name, value, depth }: BranchProps) {
  const [shown, setShown] = useState(PAGE);
  const list = Array.isArray(value);
  const members = Object.entries(value);
  const size = list ? many(members.length, "item") : many(members.length, "member");
  return (
    <details class="branch" open={depth < OPEN_DEPTH}>
      <summary>
        {name !== undefined && <span class="name">{name}</span>}{" "}
        <span class="size">{list ? `[ ${size} ]` : `{ ${size} }`}</span>
      </summary>
      <div class="members">
        {members.slice(0, shown).map(([key, member]) => (
          <Tree key={key} name={key} value={member} depth={depth + 1} />
        ))}
        {members.length > shown && (
          <button type="button" class="quiet" onClick={() => setShown((n) => n + PAGE)}>
            {members.length - shown} more
          </button>
        )}
      </div>
    </details>
  );
}

function Leaf({ name, value }: { readonly name: string | undefined; readonly value: unknown }) {
  const text = JSON.stringify(value);
  const before = useRef(text);
  const changes = useRef(0);
  if (before.current !== text) changes.current += 1;
  before.current = text;
  // Two names for one animation: the second change starts it again.
  const mark = changes.current === 0 ? "" : changes.current % 2 === 0 ? "changed-a" : "changed-b";
  return (
    <p class="leaf">
      {name !== undefined && <span class="name">{name}</span>}{" "}
      <span class={`value ${typeof value} ${mark}`}>{text}</span>
    </p>
  );
}
