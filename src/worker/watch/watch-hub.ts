/**
 * Hubs: the keys that requests of one isolate of the Worker watch. Each key has one hub, for any number of watchers.
 *
 * HUB1. A hub is data alone. A connection, a stream and a timer belong to the request that made them, and no other
 *     request may use them. So one watcher of each hub leads: its request holds the connection (watch-lead.ts). The
 *     others sleep until the hub wakes them. A watcher that finds the hub without a leader becomes the leader.
 * HUB2. A hub holds the newest value, and a count of its changes. A slow watcher misses the values in between: nothing
 *     is kept for it.
 * HUB3. A request may end without notice. A leader without a sign of life is replaced, a watcher without one is
 *     forgotten.
 */
import { WATCH_BEAT_MS, WATCHED_CHARS, WATCHERS } from "../../engine/base/limits.ts";
import type { Trouble } from "../trouble.ts";
import type { ValueMessage, WatchedValue } from "./watch-wire.ts";

/** After this time without a sign of life a request counts as gone. */
const DEAD_MS = 3 * WATCH_BEAT_MS;

/** One request that watches. */
export class HubMember {
  readonly #wakes = new Set<() => void>();
  gone = false;
  seenMs: number;

  constructor(nowMs: number) {
    this.seenMs = nowMs;
  }

  /** Sleeps until the hub wakes the member. Returns false if the time runs out first. */
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

/** The reason why the hub has no connection. */
interface Outage extends Trouble {
  readonly sinceMs: number;
}

/** One watched key. */
export class Hub {
  readonly members = new Set<HubMember>();
  leader: HubMember | null = null;
  /** The leader's last sign of life. */
  seenMs = 0;
  value: WatchedValue | null = null;
  /** The number of changes of `value`. */
  changes = 0;
  /** The last number that was asked for, and the last one answered. A value was read after its number was asked for. */
  asked = 0;
  heard = 0;
  /**
   * Failed attempts to connect. `silence` has the reason and the time of the first; null if the connection works or did
   * a moment ago.
   */
  failures = 0;
  silence: Outage | null = null;

  /** Returns a number. Once `heard` has reached it, `value` is at least as new as this call. */
  ask(): number {
    this.asked += 1;
    this.leader?.ring();
    return this.asked;
  }

  /** @returns the number of characters by which the hub grows */
  take({ n, seq, text }: ValueMessage): number {
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

  /** Makes the member the leader, unless another leader gives a sign of life (HUB3). */
  lead(member: HubMember, nowMs: number): boolean {
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

type Joined = { readonly hub: Hub; readonly member: HubMember };

export class Hubs {
  readonly #hubs = new Map<string, Hub>();
  #members = 0;
  #chars = 0;
  #checkedMs = 0;

  /** Returns null if there are too many hubs or watchers already. */
  join(name: string, nowMs: number): Joined | null {
    if (nowMs - this.#checkedMs > WATCH_BEAT_MS) this.#removeSilent(nowMs);
    if (this.#members >= WATCHERS || this.full) return null;
    const hub = this.#hubs.get(name) ?? new Hub();
    this.#hubs.set(name, hub);
    const member = new HubMember(nowMs);
    hub.members.add(member);
    this.#members += 1;
    return { hub, member };
  }

  /** True if the hubs hold too much: nobody may join, and a hub whose value grows loses its watchers. */
  get full(): boolean {
    return this.#chars > WATCHED_CHARS;
  }

  get counts(): { readonly hubs: number; readonly members: number; readonly chars: number } {
    return { hubs: this.#hubs.size, members: this.#members, chars: this.#chars };
  }

  take(name: string, told: ValueMessage): void {
    const hub = this.#hubs.get(name);
    if (hub === undefined) return;
    const grown = hub.take(told);
    this.#chars += grown;
    if (grown > 0 && this.full) for (const member of hub.members) this.leave(name, member);
  }

  leave(name: string, member: HubMember): void {
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

  /**
   * A sleeping member gives a sign of life with each beat. A member whose reader takes nothing gives none, and is
   * removed too.
   */
  #removeSilent(nowMs: number): void {
    this.#checkedMs = nowMs;
    for (const [name, { members }] of this.#hubs)
      for (const member of members) if (nowMs - member.seenMs > DEAD_MS) this.leave(name, member);
  }
}
