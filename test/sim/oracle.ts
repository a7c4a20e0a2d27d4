/**
 * The oracle: knows what the stores really did, and says whether what the engine does and answers is right. It shares no
 * code with the engine.
 *
 * Checked all the time: the log itself (truth.ts); one effective writer for each epoch; no write by an instance that ended
 * itself (LOG2); answers tell what is in the log, the first outcome and reply included, and call an event new once (LOG1,
 * ONE1); reads show states that the log gives, never older than what the instance showed or found (LOG1); every snapshot
 * and archive holds exactly what the log says (SNAP1, LOG5); what becomes current is there, and names no generation that is
 * known to be damaged (SNAP2, SNAP4); nothing reachable is deleted; names are used once; bounded queues (LOG6).
 */
import { FRESH_MS, PENDING_BYTES, PENDING_EVENTS, STORE_TIMEOUT_MS } from "../../src/engine/limits.ts";
import type { Appended, PartitionRow, Point, Promotion, Retention, Roots } from "../../src/engine/ports.ts";
import type { Producer } from "../../src/engine/producers.ts";
import type { Segment } from "../../src/engine/segment.ts";
import type { Slice, SliceResult } from "../../src/engine/slice.ts";
import {
  decodeArchive,
  decodeSnapshot,
  filesOf,
  outcomeFrom,
  reached,
  type DecodedSnapshot,
  type LoggedOutcome,
} from "./decoder.ts";
import type { Instance } from "./instance.ts";
import { Kept } from "./kept.ts";
import type { Logged, Shown } from "./model.ts";
import { contentOf, nameOf, Truth } from "./truth.ts";
import type { World } from "./world.ts";

const WRITES = new Set(["append", "open", "create", "promote", "put", "delete"]);
const STATUS = ["a", "r", "q"] as const;
const REUSED = 3;
const REPEAT = 8;
const FORGOTTEN = 4 + REPEAT;

/** A state, and the outcomes that are more than "applied". */
interface Whole {
  readonly entries: Map<string, Shown>;
  readonly answers: Map<number, LoggedOutcome>;
}

/** When a promotion was sent, and the files that were known to be damaged by then: it may act much later. */
interface Sent {
  readonly sentMs: number;
  readonly damaged: ReadonlySet<string>;
}

export class Oracle {
  readonly violations: string[] = [];
  readonly #world: World;
  readonly #truths = new Map<string, Truth>();
  /** Who took which epoch of which partition. */
  readonly #owners = new Map<string, Instance>();
  readonly #taken = new Map<string, number>();
  /** Stamp of each group as it was last sent. */
  readonly #stamps = new Map<string, number>();
  /** Up to where the log of a partition was cut. */
  readonly #cuts = new Map<string, number>();
  /** Every name that was ever put, and whether the engine deleted it. */
  readonly #names = new Map<string, "there" | "deleted">();
  readonly #pending = new Map<Instance, { bytes: number; events: number; calls: number }>();
  /** What the snapshots of a partition hold with all that they build on, by seq and version. */
  readonly #states: Record<string, Map<string, Whole>> = {};
  /** Of snapshots of several files, by attempt: what is written so far. */
  readonly #parts = new Map<string, DecodedSnapshot["entries"][number][]>();
  /** The highest epoch in which a producer ever sent. */
  readonly #epochs = new Map<string, number>();

  /** What retention keeps and gives up. */
  readonly kept: Kept;

  constructor(world: World) {
    this.#world = world;
    this.kept = new Kept(world, (what) => this.fail(what));
  }

  fail(what: string): void {
    this.violations.push(what);
    this.#world.trace.say("VIOLATION", () => what);
  }

  truth(slot: string): Truth {
    let truth = this.#truths.get(slot);
    if (truth === undefined) {
      truth = new Truth(this.#world.config, slot.split("/")[1]!);
      this.#truths.set(slot, truth);
    }
    return truth;
  }

  head(slot: string): number {
    return this.truth(slot).head;
  }

  // ---- instances ----

  began(by: Instance): void {
    this.truth(by.slot.name).model.readBy(by.version);
  }

  died(by: Instance): void {
    this.#pending.delete(by);
  }

  called(by: Instance, method: string): void {
    if (by.ended !== null && WRITES.has(method))
      this.fail(`${by.name} calls ${method} after it ended itself: ${by.ended}`);
  }

  // ---- the log ----

  opened(by: Instance, epoch: number): void {
    const { name } = by.slot;
    const key = `${name} ${epoch}`;
    const owner = this.#owners.get(key);
    if (owner !== undefined) this.fail(`${by.name} and ${owner.name} both have epoch ${epoch} (LOG2)`);
    this.#owners.set(key, by);
    this.#taken.set(name, Math.max(this.#taken.get(name) ?? 0, epoch));
    by.epoch = epoch;
  }

  appended(by: Instance, rows: readonly Segment[], held: number, verdict: Appended): void {
    const { trace } = this.#world;
    const { name } = by.slot;
    let taken = this.#taken.get(name) ?? 0;
    const truth = this.truth(name);
    const [{ group, stamp }] = rows as readonly [Segment];
    if ((this.#stamps.get(group) ?? stamp) !== stamp) trace.count("stamps made anew");
    this.#stamps.set(group, stamp);
    if (verdict === "refused") {
      trace.count("commits refused");
      if (held < taken) trace.count("zombie writes refused");
      else if (held < rows[0]!.epoch) trace.count("claims refused");
      else this.#headKnown(by, truth, rows[0]!);
      return;
    }
    trace.count("commits");
    if (held !== taken)
      this.fail(`${by.name} logged ${rows[0]!.seq} on epoch ${held}, though ${taken} was taken (LOG2)`);
    if (held < rows[0]!.epoch) {
      trace.count("claims");
      taken = rows[0]!.epoch;
      this.opened(by, taken);
    }
    const lowest = Math.min(by.version, ...this.#world.host.running(by.slot).map((one) => one.version));
    for (const row of rows) {
      if (row.epoch !== taken)
        this.fail(`${by.name} logged ${row.seq} with epoch ${row.epoch}, though ${taken} was taken (LOG2)`);
      if (this.#owners.get(`${name} ${row.epoch}`) !== by)
        this.fail(`${by.name} logged ${row.seq} with an epoch that isn't its own`);
      const flaw = truth.take(row, lowest, this.#world.clock.now());
      if (flaw !== null) this.fail(`${by.slot.name}: ${flaw}`);
    }
  }

  /** Who holds the epoch knows where the log ends: only its own group, sent again, may be refused for its seq. */
  #headKnown(by: Instance, truth: Truth, row: Segment): void {
    const there = truth.rows.find((one) => one.seq === row.seq);
    if (row.seq > truth.head + 1 || (row.seq <= truth.head && there?.group !== row.group))
      this.fail(`${by.name} holds epoch ${row.epoch} and begins at ${row.seq}, the log ends at ${truth.head} (LOG2)`);
  }

  promoted(by: Instance, to: Promotion, verdict: "current" | "refused", before: PartitionRow, sent: Sent): void {
    const { trace } = this.#world;
    if (verdict === "refused") {
      trace.count("promotions refused");
      if (to.epoch < (this.#taken.get(by.slot.name) ?? 0)) trace.count("zombie writes refused");
      const cut = (this.#world.database(by.slot.address.database).segments.get(by.slot.name)?.[0]?.seq ?? 1) - 1;
      if (cut > (this.#cuts.get(by.slot.name) ?? 0))
        this.fail(`${by.name} was refused, and cut the log up to ${cut} (SNAP2)`);
      return;
    }
    trace.count("snapshots");
    if ((JSON.parse(to.manifest) as { kind: string }).kind === "delta") trace.count("deltas");
    const { name } = by.slot;
    const truth = this.truth(name);
    const after = this.#world.database(by.slot.address.database).rows.get(name)!;
    const wrong = (what: string): void => this.fail(`${by.name} made version ${to.version + 1} current: ${what}`);
    if (to.epoch !== (this.#taken.get(name) ?? 0))
      wrong(`with epoch ${to.epoch}, though another one was taken (SNAP2)`);
    if (after.version !== before.version + 1) wrong(`the version went from ${before.version} to ${after.version}`);
    if (to.seq < before.snapshotSeq && !this.#rolledBack(before, to))
      wrong(`it is at ${to.seq}, the one before at ${before.snapshotSeq} (SNAP2)`);
    if (to.seq > truth.head) wrong(`it is at ${to.seq}, the log ends at ${truth.head} (SNAP1)`);
    for (const file of reached(after)) {
      if (this.#names.get(file) !== "there") wrong(`${file} is not there`);
    }
    const archive = (JSON.parse(to.manifest) as { archive: { name: string } }).archive.name;
    if (this.#names.get(archive) !== "there") wrong(`its archive ${archive} is not there (LOG5)`);
    if (to.previous !== null && to.previous === to.manifest) wrong("it is its own older generation (SNAP4)");
    const damaged = to.previous === null ? undefined : filesOf(to.previous).find((file) => sent.damaged.has(file));
    if (damaged !== undefined) wrong(`${damaged} is known to be damaged and counts as a generation (SNAP4)`);
    const own = new Set(filesOf(to.manifest));
    const shared = to.previous === null ? undefined : filesOf(to.previous).find((file) => own.has(file));
    if (shared !== undefined) wrong(`${shared} is in both generations (SNAP4)`);
    this.#cut(by, before, wrong);
    this.kept.promoted(by, before, to, sent.sentMs);
  }

  retained(by: Instance, retention: Retention, before: readonly Point[], roots: Roots | null): void {
    this.kept.retained(by, retention, before, this.#taken.get(by.slot.name) ?? 0, roots);
  }

  /** After a rollback older code begins again from its own last snapshot. */
  #rolledBack(before: PartitionRow, to: Promotion): boolean {
    const version = (text: string): number => (JSON.parse(text) as { operatorVersion: number }).operatorVersion;
    return before.manifest !== null && version(before.manifest) > version(to.manifest);
  }

  /** What D1 still holds is the end of the log, and what it doesn't stands in archives (LOG4, LOG5). */
  #cut(by: Instance, before: PartitionRow, wrong: (what: string) => void): void {
    const { name, address } = by.slot;
    const truth = this.truth(name);
    const kept = this.#world.database(address.database).segments.get(name) ?? [];
    const from = kept[0]?.seq ?? truth.head + 1;
    if (kept.length > 0 && truth.rows.at(-kept.length)?.seq !== from) wrong("the log in D1 is not the end of the log");
    const cutBefore = this.#cuts.get(name) ?? 0;
    if (from - 1 > Math.max(cutBefore, before.snapshotSeq))
      wrong(`the log is cut up to ${from - 1}, the manifest before is at ${before.snapshotSeq} (LOG5)`);
    this.#cuts.set(name, from - 1);
    for (const { seq } of truth.rows) {
      if (seq >= from) break;
      if (!truth.archived.has(seq)) wrong(`the segment at ${seq} was cut and stands in no archive (LOG5)`);
    }
  }

  // ---- objects ----

  putting(by: Instance, name: string): void {
    if (this.#names.has(name)) this.fail(`${by.name} uses the name ${name} again (SNAP2)`);
  }

  put(by: Instance, name: string, bytes: Uint8Array): void {
    this.#names.set(name, "there");
    const truth = this.truth(by.slot.name);
    if (name.endsWith(".kfm")) return this.#archive(by, truth, bytes);
    const snapshot = this.#joined(name, decodeSnapshot(bytes));
    if (snapshot === null) return;
    const wrong = (what: string): void => this.fail(`${by.name} wrote a snapshot at ${snapshot.seq}: ${what}`);
    if (snapshot.seq > truth.head) return wrong(`the log ends at ${truth.head} (SNAP1)`);
    if (snapshot.operatorVersion !== by.version) wrong(`it says version ${snapshot.operatorVersion}`);
    const view = { version: by.version, floor: snapshot.seq, cut: snapshot.seq };
    const whole = this.#whole(by, snapshot);
    if (whole === null) return wrong(`it builds on ${snapshot.base}, where no snapshot is (SNAP2)`);
    const { entries, answers } = whole;
    if (entries.size !== snapshot.keys) wrong(`it says ${snapshot.keys} keys, and they are ${entries.size}`);
    for (const key of new Set([...truth.model.keys(), ...entries.keys()])) {
      const flaw = truth.model.check(key, entries.get(key) ?? null, view);
      if (flaw !== null) wrong(`key ${key}: ${flaw} (SNAP1)`);
    }
    const { first, last, prints } = snapshot.dedup;
    if (last !== snapshot.seq || prints !== last - Math.max(first, snapshot.base + 1) + 1)
      wrong(`its ids go from ${first} to ${last}, and are ${prints} (ONE3)`);
    const stamp = truth.events[snapshot.seq - 1]?.stamp ?? 0;
    for (const event of truth.events.slice(0, snapshot.seq)) {
      if (!truth.remembers(event, snapshot.seq + 1, stamp)) continue;
      if (event.seq < first) wrong(`the id of seq ${event.seq} isn't in it (ONE3)`);
      const { outcome } = event;
      const must =
        outcome !== null && (outcome.tag !== "a" || (stamp - event.stamp) / 1_024 <= this.#world.config.repliesMs);
      if (must && answers.get(event.seq)?.text !== outcome.text)
        wrong(`the outcome of seq ${event.seq} isn't in it (ONE3)`);
    }
  }

  /** With the parts before it; null: further parts follow. */
  #joined(name: string, read: DecodedSnapshot): DecodedSnapshot | null {
    if (read.part === null) return read;
    const [number, last] = read.part;
    const attempt = name.replace(/\.\d+\.kfs$/, "");
    const before = number === 1 ? [] : this.#parts.get(attempt);
    if (before === undefined) this.fail(`${name} was written before the parts below it`);
    const entries = [...(before ?? []), ...read.entries];
    this.#parts.set(attempt, entries);
    this.#world.trace.count("parts of snapshots");
    return last === 1 ? { ...read, entries } : null;
  }

  /** What a recovery would read from it and the files that it builds on; null: there are none. */
  #whole(by: Instance, { base, seq, operatorVersion, entries, answers }: DecodedSnapshot): Whole | null {
    const states = (this.#states[by.slot.name] ??= new Map<string, Whole>());
    const below = base === 0 ? { entries: [], answers: [] } : states.get(`${base} ${operatorVersion}`);
    if (below === undefined) return null;
    const whole: Whole = { entries: new Map(below.entries), answers: new Map([...below.answers, ...answers]) };
    for (const [key, entry] of entries) {
      if (entry === null) whole.entries.delete(key);
      else whole.entries.set(key, entry);
    }
    states.set(`${seq} ${operatorVersion}`, whole);
    return whole;
  }

  #archive(by: Instance, truth: Truth, bytes: Uint8Array): void {
    for (const row of decodeArchive(bytes)) {
      const logged = truth.rows.find((one) => one.seq === row.seq);
      if (
        logged === undefined ||
        logged.last !== row.last ||
        logged.stamp !== row.stamp ||
        logged.payload !== row.payload
      )
        this.fail(`${by.name} archived a segment at ${row.seq} that isn't in the log (LOG5)`);
      truth.archived.add(row.seq);
    }
  }

  deleted(by: Instance, names: readonly string[]): void {
    this.kept.deleting(by, names);
    for (const name of names) this.#names.set(name, "deleted");
  }

  // ---- calls ----

  sent(by: Instance, slice: Slice): () => void {
    const pending = this.#pending.get(by) ?? { bytes: 0, events: 0, calls: 0 };
    this.#pending.set(by, pending);
    pending.bytes += slice.bytes;
    pending.events += slice.keys.length;
    pending.calls += 1;
    // What waits for the opening has a bound of its own, and the first of each queue is taken whatever its size.
    if (pending.calls > 2 && (pending.bytes > 2 * PENDING_BYTES + slice.bytes || pending.events > 2 * PENDING_EVENTS))
      this.#world.clock.after(1, () => {
        if (pending.bytes > 2 * PENDING_BYTES + slice.bytes)
          this.fail(`${by.name} holds ${pending.bytes} bytes (LOG6)`);
      });
    return () => {
      pending.bytes -= slice.bytes;
      pending.events -= slice.keys.length;
      pending.calls -= 1;
    };
  }

  /** A producer sends in this epoch: from now on an older one may be refused. */
  numbered({ id, epoch }: Producer): void {
    this.#epochs.set(id, Math.max(this.#epochs.get(id) ?? 0, epoch));
  }

  #mayRefuse({ producer }: Slice): boolean {
    return producer !== undefined && producer.epoch < (this.#epochs.get(producer.id) ?? 0);
  }

  decided(by: Instance, slice: Slice, result: SliceResult): void {
    const { trace } = this.#world;
    if (result.tag === "busy") {
      trace.count("busy answers");
      if (result.code === "queue_full") trace.count("full queues");
      if (result.code === "state_newer" && this.kept.promisesRollback(by.slot, by.version, 0))
        this.fail(`${by.name} can't go back to version ${by.version}, within the retention time (CODE3)`);
      return;
    }
    if (result.tag === "unfit") {
      trace.count("producers refused");
      if (!this.#mayRefuse(slice)) this.fail(`${by.name} refused ${JSON.stringify(slice.producer)}: ${result.message}`);
      return;
    }
    const truth = this.truth(by.slot.name);
    const told = new Map(result.details.map(([i, seq, text]) => [i, { seq, text }]));
    const events = JSON.parse(`[${slice.body}]`) as Record<string, unknown>[];
    let lastNew = 0;
    for (const [i, event] of events.entries()) {
      const status = result.statuses[i]!;
      const name = nameOf(event);
      const same = truth.byName.get(name) ?? [];
      const wrong = (what: string): void => this.fail(`${by.name} answered ${status} for ${name}: ${what}`);
      const detail = told.get(i);
      if (slice.full && detail === undefined) wrong("no seq is told");
      if (status === FORGOTTEN) {
        const flaw = this.#forgotten(truth, event, detail);
        if (flaw !== null) wrong(flaw);
        trace.count("known by number alone");
        continue;
      }
      const logged = detail === undefined ? same.at(-1) : truth.events[detail.seq - 1];
      if (logged === undefined || logged.name !== name) {
        wrong(`the log doesn't hold it${detail === undefined ? "" : ` at seq ${detail.seq}`} (LOG1)`);
        continue;
      }
      if (status === REUSED) {
        trace.count("ids reused");
        if (logged.content === contentOf(event)) wrong("it says the same (ONE4)");
        continue;
      }
      if (logged.content !== contentOf(event)) wrong("it was logged with other content (ONE4)");
      this.#outcome(truth, logged, status, detail, wrong);
      by.shown = Math.max(by.shown, logged.seq);
      if (status >= REPEAT) {
        trace.count("duplicates");
        continue;
      }
      if (truth.claimed.has(logged.seq)) wrong(`seq ${logged.seq} was called new before (ONE1)`);
      truth.claimed.add(logged.seq);
      if (logged.seq <= lastNew) wrong(`seq ${logged.seq} comes after ${lastNew} in one request`);
      lastNew = logged.seq;
    }
  }

  /** A number alone may decide only where the first event of its request is beyond the horizon of ids (ONE2). */
  #forgotten(
    truth: Truth,
    event: Record<string, unknown>,
    detail: { readonly seq: number; readonly text: string | null } | undefined,
  ): string | null {
    const first = truth.requests.get(String(event["numbered"]));
    if (first === undefined) return "nothing of its request is in the log (ONE2)";
    if (truth.remembers(first, truth.head + 1, truth.stamp)) return `its request begins at seq ${first.seq} (ONE2)`;
    return detail === undefined || (detail.seq === 0 && detail.text === null) ? null : "more is told than is known";
  }

  #outcome(
    truth: Truth,
    logged: Logged,
    status: number,
    detail: { readonly text: string | null } | undefined,
    wrong: (what: string) => void,
  ): void {
    const outcome = truth.outcome(logged);
    const tag = outcome?.tag ?? "a";
    // A quarantine is a pause: what became of it since is told as well.
    if (status >= REPEAT && tag === "q") {
      const since = truth.since(logged).filter((came) => came.tag === STATUS[status & ~REPEAT]);
      const heard = detail === undefined ? null : outcomeFrom(detail.text);
      if (since.some((came) => heard === null || heard.text === came.text))
        return this.#world.trace.count("settled since");
    }
    if (STATUS[status & ~REPEAT] !== tag) return wrong(`its first outcome was ${tag} (ONE1)`);
    if (detail === undefined) return;
    const told = outcomeFrom(detail.text);
    if (told === null) {
      const must = status < REPEAT || tag !== "a" || (logged.outcome !== null && truth.keepsReply(logged));
      if (must && outcome !== null) wrong(`its outcome ${outcome.tag} ${outcome.text} isn't told (ONE1)`);
      return;
    }
    if (logged.reply === null && tag === "a" && logged.outcome === null) return;
    if (told.tag !== tag || told.text !== outcome?.text)
      wrong(`its first outcome was ${outcome?.tag} ${outcome?.text}, told was ${told.tag} ${told.text} (ONE1)`);
  }

  /**
   * What an instance shows of a key. `shown` is what it was known to show when it was asked. What was logged some seconds
   * before by others must show too, unless D1 didn't answer when the instance asked for its epoch. (What it logged itself
   * it may not have heard of yet; nobody was told of that.)
   */
  read(by: Instance, key: string, entry: Shown | null, shown: number, askedMs: number): void {
    const truth = this.truth(by.slot.name);
    const fresh =
      by.knowsTime && by.unheardMs < askedMs ? truth.headAt(askedMs - FRESH_MS - STORE_TIMEOUT_MS, by.epoch) : 0;
    const view = { version: by.version, floor: Math.max(shown, by.firstHead, fresh), cut: truth.head };
    const flaw = truth.model.check(key, entry, view);
    if (flaw !== null) this.fail(`${by.name} shows key ${key} wrongly: ${flaw}`);
    if (entry !== null) by.shown = Math.max(by.shown, entry.seq);
  }

  /** A scan: every key that must be there is, none twice, in the order of their bytes. */
  scanned(by: Instance, items: readonly (readonly [string, Shown])[], shown: number, askedMs: number): void {
    const entries = new Map(items);
    const keys = items.map(([key]) => Buffer.from(key));
    const ordered = keys.slice(1).every((key, i) => Buffer.compare(keys[i] as Buffer, key) < 0);
    if (!ordered) this.fail(`${by.name} scans out of order: ${items.map(([key]) => key).join(" ")}`);
    for (const key of new Set([...this.truth(by.slot.name).model.keys(), ...entries.keys()]))
      this.read(by, key, entries.get(key) ?? null, shown, askedMs);
  }
}
