/**
 * The model of `ledger`: which events a key saw, in which order, each once; and the quarantine.
 *
 * L1. An event that was applied under a newer version throws when an older one replays it (rollback), and stands in that
 *     one's quarantine instead; or it is refused. So of what older code may have read it is only asked that it counts at most once, and
 *     stands where the log allows it; all else is asked to the letter.
 */
import type { Logged, Model, Shown, View } from "./model.ts";

const RETRY = "keyframe.quarantine.retry";
const DELETE = "keyframe.quarantine.delete";

interface Entry {
  readonly seq: number;
  /** The event that this seq put into the key's list: itself, or the one that was retried. */
  readonly target: Logged;
  /** Other code may have seen it otherwise. */
  open: boolean;
}

export class LedgerModel implements Model {
  readonly #events: (seq: number) => Logged;
  readonly #keys = new Map<string, Map<number, Entry>>();
  readonly #quarantine = new Map<number, Logged>();
  /** Ids of events that some code had elsewhere than the log says. */
  readonly #open = new Set<number>();
  /** The last command on a quarantined event, and the group that it came in. */
  readonly #commands = new Map<number, string>();
  readonly #tokens = new Map<number, string>();

  constructor(events: (seq: number) => Logged) {
    this.#events = events;
  }

  take(event: Logged): string | null {
    if (event.type === RETRY || event.type === DELETE) return this.#command(event);
    const from = Number(event.data["from"]);
    const throws = from > event.version;
    const wanted = !throws ? "a" : event.data["polite"] === true ? "r" : "q";
    if (wanted !== (event.outcome?.tag ?? "a"))
      return `seq ${event.seq} should come to ${wanted} under version ${event.version}, and is ${event.outcome?.tag ?? "applied"}`;
    if (wanted === "r") return null;
    if (throws) {
      this.#quarantine.set(event.seq, event);
      return null;
    }
    event.reply = JSON.stringify({ seq: event.seq, now: event.atMs });
    if (event.outcome !== null && event.outcome.text !== event.reply)
      return `the reply to seq ${event.seq} should be ${event.reply}, it is ${event.outcome.text}`;
    this.#put(event.key, { seq: event.seq, target: event, open: from > event.lowest });
    return null;
  }

  #put(key: string, entry: Entry): void {
    if (entry.open) this.#open.add(entry.target.seq);
    let entries = this.#keys.get(key);
    if (entries === undefined) {
      entries = new Map();
      this.#keys.set(key, entries);
    }
    entries.set(entry.seq, entry);
  }

  #command(command: Logged): string | null {
    const at = Number(command.data["seq"]);
    const target = this.#quarantine.get(at);
    const open = this.#open.has(at);
    const claimed = this.#commands.get(at);
    this.#commands.set(at, command.group);
    const tag = command.outcome?.tag ?? "a";
    if (tag === "r") {
      const claimedBefore = claimed !== undefined;
      return target === undefined || open || claimedBefore
        ? null
        : `seq ${at} is in quarantine, and its command ${command.seq} was told that it isn't`;
    }
    if (target === undefined && !open)
      return `the command ${command.seq} took effect on seq ${at}, which isn't in quarantine`;
    const event = target ?? this.#events(at);
    if (command.type === DELETE) {
      this.#quarantine.delete(at);
      if (open) this.#loosen(event);
      return tag === "a" ? null : `a delete of seq ${at} came to ${tag}`;
    }
    const throws = Number(event.data["from"]) > command.version;
    if (throws !== (tag === "q"))
      return `the retry ${command.seq} of seq ${at} ran under ${command.version} and came to ${tag}`;
    if (throws) return null;
    this.#quarantine.delete(at);
    if (open) this.#loosen(event);
    this.#put(event.key, {
      seq: command.seq,
      target: event,
      open: open || Number(event.data["from"]) > command.lowest,
    });
    return null;
  }

  #loosen(event: Logged): void {
    for (const entry of this.#keys.get(event.key)?.values() ?? []) if (entry.target === event) entry.open = true;
  }

  readBy(version: number): void {
    for (const entries of this.#keys.values())
      for (const entry of entries.values())
        if (Number(entry.target.data["from"]) > version) {
          entry.open = true;
          this.#open.add(entry.target.seq);
        }
  }

  check(key: string, shown: Shown | null, { version, floor, cut }: View): string | null {
    const entries = this.#keys.get(key);
    if (shown === null) {
      for (const { seq, open } of entries?.values() ?? [])
        if (!open && seq <= Math.min(floor, cut)) return `nothing is shown, though seq ${seq} left a state`;
      return null;
    }
    const { seqs, token } = JSON.parse(shown.text) as { seqs: number[]; token: string };
    const flaw = this.#flaw(entries ?? new Map(), seqs, shown, Math.min(cut, Math.max(floor, shown.seq)), cut);
    if (flaw !== null) return `${flaw} (it shows ${seqs.join(" ")})`;
    const known = this.#tokens.get(shown.seq);
    if (known !== undefined && known !== token) return `its token is ${token}, and was ${known} (ONE5)`;
    this.#tokens.set(shown.seq, token);
    const hash = seqs.reduce((sum, seq) => step(sum, entries!.get(seq)!.target.id), 7);
    const more =
      version >= 3 ? { length: seqs.length, twice: seqs.length * 2 } : version === 2 ? { length: seqs.length } : {};
    const text = JSON.stringify({ seqs, hash, token, ...more });
    return shown.text === text ? null : `it is ${shown.text} instead of ${text}`;
  }

  #flaw(
    entries: ReadonlyMap<number, Entry>,
    seqs: readonly number[],
    shown: Shown,
    must: number,
    cut: number,
  ): string | null {
    const targets = new Set<number>();
    let last = 0;
    for (const seq of seqs) {
      const entry = entries.get(seq);
      if (entry === undefined || seq > cut) return `seq ${seq} didn't happen to it`;
      if (seq <= last) return `seq ${seq} comes after ${last}`;
      if (targets.has(entry.target.seq)) return `seq ${entry.target.seq} counts twice`;
      targets.add(entry.target.seq);
      last = seq;
    }
    if (last !== shown.seq) return `it ends at ${last} and says ${shown.seq}`;
    for (const { seq, open } of entries.values())
      if (!open && seq <= must && !seqs.includes(seq)) return `seq ${seq} is missing`;
    const { stamp } = this.#events(shown.seq);
    return stamp === shown.stamp ? null : `it has the stamp ${shown.stamp} instead of ${stamp}`;
  }

  keys(): Iterable<string> {
    return this.#keys.keys();
  }

  checkQuarantine(seqs: ReadonlySet<number>): string | null {
    for (const seq of this.#quarantine.keys())
      if (!seqs.has(seq) && !this.#open.has(seq)) return `seq ${seq} isn't in quarantine`;
    for (const seq of seqs)
      if (!this.#quarantine.has(seq) && !this.#open.has(seq)) return `seq ${seq} is in quarantine, and shouldn't be`;
    return null;
  }

  quarantined(): readonly Logged[] {
    return [...this.#quarantine.values()];
  }
}

function step(hash: number, id: string): number {
  let h = hash;
  for (let i = 0; i < id.length; i++) h = (Math.imul(h, 31) + id.charCodeAt(i)) >>> 0;
  return h;
}
