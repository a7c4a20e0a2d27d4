/**
 * What an isolate of the Worker knows of the keys that its requests watch: one hub for each key, whatever the number of its
 * watchers.
 *
 * HUB1. Data alone: a connection, a stream and a timer belong to the request that made them, and no other may touch them. So one
 *     watcher of each hub leads: its request holds the connection (watch-lead.ts). The others sleep until its hub rings, and
 *     whoever finds it without a leader takes over.
 * HUB2. A hub holds the newest value, and how often it changed: a watcher that comes to it late has missed what was in between, and
 *     nothing is kept for it.
 * HUB3. A request may end without a word. A leader that gives no sign of life is deposed, a watcher that gives none is forgotten.
 */
import { WATCH_BEAT_MS, WATCHED_CHARS, WATCHERS } from "../../engine/base/limits.ts";
import type { Trouble } from "../trouble.ts";
import type { Told, Value } from "./watch-wire.ts";

/** After this time without a sign of life nobody is thought to be there. */
const DEAD_MS = 3 * WATCH_BEAT_MS;

/** One request that watches. */
export class Member {
  readonly #wakes = new Set<() => void>();
  gone = false;
  seenMs: number;

  constructor(nowMs: number) {
    this.seenMs = nowMs;
  }

  /** Until somebody rings, or the time is over: then false. */
  async sleep(ms: number): Promise<boolean> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let wake: (() => void) | undefined;
    const rung = await new Promise<boolean>((resolve) => {
      wake = () => resolve(true);
      this.#wakes.add(wake);
      timer = setTimeout(() => resolve(false), ms);
    });
    clearTimeout(timer);
    this.#wakes.delete(wake!);
    this.seenMs = Date.now();
    return rung;
  }

  ring(): void {
    for (const wake of this.#wakes) wake();
  }
}

/** Why the hub hears nothing. */
export interface Silence extends Trouble {
  readonly sinceMs: number;
}

/** One watched key. */
export class Hub {
  readonly members = new Set<Member>();
  leader: Member | null = null;
  /** Of the leader. */
  seenMs = 0;
  value: Value | null = null;
  /** How often `value` changed. */
  changes = 0;
  /** The last number that was asked for, and that was heard of: what is heard then was read after it was asked. */
  asked = 0;
  heard = 0;
  /** Attempts to connect that failed, and since when; null: there is a connection, or was a moment ago. */
  failures = 0;
  silence: Silence | null = null;

  /** A number; once `heard` has reached it, `value` is at least as new as this call. */
  ask(): number {
    this.asked += 1;
    this.leader?.ring();
    return this.asked;
  }

  /** @returns by how many characters it holds more */
  take({ n, seq, text }: Told): number {
    this.heard = Math.max(this.heard, n);
    this.silence = null;
    const known = this.value;
    const same = known !== null && known.text === text && (known.seq === seq || text === null);
    if (!same) {
      this.value = { seq, text };
      this.changes += 1;
    }
    this.ring();
    return same ? 0 : charsOf(text) - charsOf(known?.text ?? null);
  }

  failed(trouble: Trouble, nowMs: number): void {
    this.failures += 1;
    this.silence = { ...trouble, sinceMs: this.silence?.sinceMs ?? nowMs };
    this.ring();
  }

  /** The member leads from now on, if nobody does that gives a sign of life (HUB3). */
  lead(member: Member, nowMs: number): boolean {
    if (this.leader !== null && nowMs - this.seenMs < DEAD_MS) return false;
    this.leader = member;
    this.seenMs = nowMs;
    return true;
  }

  ring(): void {
    for (const member of this.members) member.ring();
  }
}

const charsOf = (text: string | null): number => text?.length ?? 0;

export type Joined = { readonly hub: Hub; readonly member: Member };

/** All hubs of an isolate. */
export class Hubs {
  readonly #hubs = new Map<string, Hub>();
  #members = 0;
  #chars = 0;
  #sweptMs = 0;

  /** Null: there are too many already. */
  join(name: string, nowMs: number): Joined | null {
    if (nowMs - this.#sweptMs > WATCH_BEAT_MS) this.#sweep(nowMs);
    if (this.#members >= WATCHERS || this.full) return null;
    const hub = this.#hubs.get(name) ?? new Hub();
    this.#hubs.set(name, hub);
    const member = new Member(nowMs);
    hub.members.add(member);
    this.#members += 1;
    return { hub, member };
  }

  /** What the hubs hold is too much: nobody comes in, and whose value grows loses its watchers. */
  get full(): boolean {
    return this.#chars > WATCHED_CHARS;
  }

  get counts(): { readonly hubs: number; readonly members: number; readonly chars: number } {
    return { hubs: this.#hubs.size, members: this.#members, chars: this.#chars };
  }

  take(name: string, told: Told): void {
    const hub = this.#hubs.get(name);
    if (hub === undefined) return;
    const grown = hub.take(told);
    this.#chars += grown;
    if (grown > 0 && this.full) for (const member of hub.members) this.leave(name, member);
  }

  leave(name: string, member: Member): void {
    member.gone = true;
    const hub = this.#hubs.get(name);
    if (hub === undefined || !hub.members.delete(member)) return;
    this.#members -= 1;
    if (hub.leader === member) hub.leader = null;
    member.ring();
    if (hub.members.size > 0) return hub.ring();
    this.#chars -= charsOf(hub.value?.text ?? null);
    this.#hubs.delete(name);
  }

  /** One that sleeps gives a sign of life with each beat; one whose reader takes nothing gives none, and comes to its end too. */
  #sweep(nowMs: number): void {
    this.#sweptMs = nowMs;
    for (const [name, { members }] of this.#hubs)
      for (const member of members) if (nowMs - member.seenMs > DEAD_MS) this.leave(name, member);
  }
}
