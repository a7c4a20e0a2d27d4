/**
 * The wire between an instance and the stores: every call gets its fate, and the oracle sees what acted.
 *
 * WIRE1. A dead instance sends nothing more and hears nothing more; what it sent before may still act.
 * WIRE2. The oracle is told of an effect at the moment at which the store acts, whether anybody hears of it or not.
 */
import { STORE_TIMEOUT_MS } from "../../src/engine/base/limits.ts";
import type { Epoch, Seq, Stamp } from "../../src/engine/base/ids.ts";
import type { Appended, Log, ObjectStore } from "../../src/engine/base/ports.ts";
import type { Opening, PartitionRow, Pin, Promotion, Retention, Roots } from "../../src/engine/base/records.ts";
import type { Segment } from "../../src/engine/base/records.ts";
import type { MemoryDatabase } from "../../src/testkit/memory-log.ts";
import type { Fate } from "./fate.ts";
import type { Instance } from "./instance.ts";
import type { World } from "./world.ts";

/** How long a read waits for word of its epoch. */
const ASK_MS = 1_000;
/** A new one each time: whatever waits for a promise that never settles lives as long as that promise does. */
const never = (): Promise<never> => new Promise(() => undefined);

/** Gives a call its fate. */
function carry<T>(
  world: World,
  by: Instance,
  fate: Fate,
  method: string,
  what: () => string,
  act: () => Promise<T>,
  home = "R2",
): Promise<T> {
  const { clock, trace } = world;
  if (by.dead) return never();
  world.oracle.called(by, method);
  if (fate.crash !== null) trace.count("crashes at a call");
  if (fate.crash === "before") {
    by.die(`at ${method}, before it was sent`);
    return never();
  }
  if (fate.rival === true) {
    trace.count("rivals at a call");
    world.rival?.(by);
  }
  const called = clock.now();
  const generation = world.generation(home);
  const promise = new Promise<T>((resolve, reject) => {
    const answer = (then: () => void, says: () => string): void => {
      if (fate.answerMs === null) return;
      clock.after(fate.answerMs, () => {
        if (by.dead) return;
        trace.say(by.name, () => `${method} ${what()}: ${says()}`);
        then();
      });
    };
    const fail = (error: unknown): void =>
      answer(
        () => reject(error instanceof Error ? error : new Error(String(error))),
        () => String(error),
      );
    if (fate.actMs === null) {
      if (fate.error !== null) fail(new Error(`${method} ${fate.error}`));
      return;
    }
    clock.after(fate.actMs, () => {
      // Setting a database back cancels what is under way.
      if (world.generation(home) !== generation) return fail(new Error(`${method} was cancelled`));
      if (clock.now() - called > STORE_TIMEOUT_MS) {
        trace.count("late executions");
        trace.say(by.name, () => `${method} ${what()}: acts ${clock.now() - called} ms late`);
      }
      act().then((result) => {
        if (fate.error !== null) fail(new Error(`${method} ${fate.error}`));
        else
          answer(
            () => resolve(result),
            () => said(result),
          );
      }, fail);
    });
  });
  if (fate.crash === "after") by.die(`at ${method}, after it was sent`);
  return promise;
}

function said(result: unknown): string {
  if (result === null || typeof result === "string") return String(result);
  if (result instanceof Uint8Array) return `${result.length} bytes`;
  if (typeof result !== "object") return "done";
  const { row, rows, epoch, head, names } = result as Partial<Opening> & { epoch?: number; head?: number } & {
    names?: readonly string[];
  };
  if (row !== undefined)
    return `epoch ${row.epoch} version ${row.version} snapshot ${row.snapshotSeq}, ${rows?.length ?? 0} rows`;
  if (rows !== undefined) return `${rows.length} rows, epoch ${epoch}`;
  if (names !== undefined) return `${names.length} names`;
  return head === undefined ? `epoch ${epoch}` : `head ${head}, epoch ${epoch}`;
}

export class WiredLog implements Log {
  readonly #world: World;
  readonly #by: Instance;
  readonly #log: Log;
  readonly #db: MemoryDatabase;

  constructor(world: World, by: Instance) {
    this.#world = world;
    this.#by = by;
    this.#db = world.database(by.slot.address.database);
    this.#log = this.#db.log(by.slot.address);
  }

  #carry<T>(method: string, what: () => string, act: () => Promise<T>): Promise<T> {
    const home = this.#by.slot.address.database;
    return carry(this.#world, this.#by, this.#world.logFate(this.#by, method, home), method, what, act, home);
  }

  peek(): Promise<Opening | null> {
    return this.#heard("peek", () => this.#log.peek());
  }

  open(writer: string, code: string): Promise<Opening | null> {
    return this.#heard("open", async () => {
      const opening = await this.#log.open(writer, code);
      if (opening !== null) this.#world.oracle.opened(this.#by, opening.row.epoch);
      return opening;
    });
  }

  /** The head that an opening reads is the least that the instance shows from its first answer on. */
  async #heard(method: string, act: () => Promise<Opening | null>): Promise<Opening | null> {
    const oracle = this.#world.oracle;
    let head = 0;
    this.#by.asking = true;
    const answers = this.#by.asksToOpen();
    const opening = await this.#carry(
      method,
      () => "",
      async () => {
        head = oracle.head(this.#by.slot.name);
        answers();
        return act();
      },
    ).finally(() => (this.#by.asking = false));
    this.#by.heardOpening(head, opening, method === "open");
    return opening;
  }

  create(...args: Parameters<Log["create"]>): Promise<Opening | null> {
    return this.#heard("create", () => this.#log.create(...args));
  }

  lastAt(at: Stamp) {
    return this.#carry(
      "lastAt",
      () => `stamp ${at}`,
      () => this.#log.lastAt(at),
    );
  }

  page(after: Seq) {
    return this.#carry(
      "page",
      () => `above ${after}`,
      () => this.#log.page(after),
    );
  }

  below(before: Seq) {
    return this.#carry(
      "below",
      () => `below ${before}`,
      () => this.#log.below(before),
    );
  }

  noteChanged(...args: Parameters<Log["noteChanged"]>) {
    return this.#carry(
      "noteChanged",
      () => "",
      () => this.#log.noteChanged(...args),
    );
  }

  changed(...args: Parameters<Log["changed"]>) {
    return this.#carry(
      "changed",
      () => "",
      () => this.#log.changed(...args),
    );
  }

  async append(rows: readonly Segment[], held: Epoch): Promise<Appended> {
    const what = (): string => `${rows[0]!.seq}..${rows.at(-1)!.last} epoch ${rows[0]!.epoch} on ${held}`;
    let acted: Appended | null = null;
    try {
      const heard = await this.#carry("append", what, async () => {
        acted = await this.#log.append(rows, held);
        this.#world.oracle.appended(this.#by, rows, held, acted);
        return acted;
      });
      return heard;
    } catch (error) {
      if (acted === "appended") this.#world.trace.count("ambiguous commits");
      throw error;
    }
  }

  explain(at: Seq) {
    const { clock } = this.#world;
    const home = this.#by.slot.address.database;
    const fate = this.#world.logFate(this.#by, "explain", home);
    const late = fate.actMs === null || fate.answerMs === null || fate.actMs + fate.answerMs >= ASK_MS;
    if (late || fate.error !== null) this.#by.unheardMs = clock.now() + ASK_MS;
    const what = (): string => `seq ${at}`;
    return carry(this.#world, this.#by, fate, "explain", what, () => this.#log.explain(at), home);
  }

  get size(): number {
    return this.#log.size;
  }

  used(): Promise<number> {
    return this.#carry(
      "used",
      () => "",
      () => this.#log.used(),
    );
  }

  promote(promotion: Promotion): Promise<"current" | "refused"> {
    const { world, name } = { world: this.#world, name: this.#by.slot.name };
    const what = (): string => `version ${promotion.version + 1} at ${promotion.seq} epoch ${promotion.epoch}`;
    const sentMs = world.clock.now();
    const damaged = new Set(this.#by.knowsDamaged);
    const acted = async (): Promise<"current" | "refused"> => {
      const before = { ...this.#db.rows.get(name)! };
      const verdict = await this.#log.promote(promotion);
      world.oracle.promoted(this.#by, promotion, verdict, before, { sentMs, damaged });
      if (verdict === "current") done = true;
      return verdict;
    };
    let done = false;
    return this.#carry("promote", what, acted).catch((error: unknown) => {
      if (done) world.trace.count("ambiguous promotions");
      throw error;
    });
  }

  row(): Promise<PartitionRow | null> {
    return this.#carry(
      "row",
      () => "",
      () => this.#log.row(),
    );
  }

  async roots(): Promise<Roots | null> {
    return this.#carry(
      "roots",
      () => "",
      () => this.#log.roots(),
    );
  }

  retain(retention: Retention): Promise<Roots | null> {
    const { drop, archiveFrom } = retention;
    return this.#carry(
      "retain",
      () => `without ${drop.join(" ")}, archive from ${archiveFrom}`,
      async () => {
        await this.#world.beforeRetain?.(this.#by.slot, retention);
        const before = this.#db.kept.get(this.#by.slot.name)?.points ?? [];
        const roots = await this.#log.retain(retention);
        this.#world.oracle.retained(this.#by, retention, before, roots);
        return roots;
      },
    );
  }

  pin(pin: Pin): Promise<"pinned" | "gone" | "full"> {
    return this.#carry(
      "pin",
      () => `${pin.version} ${pin.name}`,
      () => this.#log.pin(pin),
    );
  }

  unpin(version: number, name: string): Promise<void> {
    return this.#carry(
      "unpin",
      () => `${version} ${name}`,
      () => this.#log.unpin(version, name),
    );
  }
}

export class WiredStore implements ObjectStore {
  readonly #world: World;
  readonly #by: Instance;

  constructor(world: World, by: Instance) {
    this.#world = world;
    this.#by = by;
  }

  #carry<T>(method: string, what: () => string, act: () => Promise<T>): Promise<T> {
    return carry(this.#world, this.#by, this.#world.storeFate(this.#by, method), method, what, act);
  }

  /** @throws where each read of the object fails */
  #assertReadable(name: string): void {
    if (!this.#world.damage.isUnreadable(name)) return;
    this.#world.trace.count("reads of objects that can't be read");
    this.#by.failedToRead.add(name);
    throw new Error("the store can't read this object");
  }

  put(name: string, bytes: Uint8Array): Promise<string> {
    const { store, oracle } = this.#world;
    if (this.#world.refusesPut(this.#by)) return Promise.reject(new Error(`${name}: the condition of the put failed`));
    return this.#carry(
      "put",
      () => `${name} (${bytes.length} bytes)`,
      async () => {
        oracle.putting(this.#by, name);
        const sha = await store.put(name, bytes);
        oracle.put(this.#by, name, bytes);
        return sha;
      },
    );
  }

  async get(name: string): Promise<Uint8Array | null> {
    const { store, damage, trace } = this.#world;
    const { clock } = this.#world;
    const called = clock.now();
    let hit = false;
    const bytes = await this.#carry(
      "get",
      () => name,
      async () => {
        this.#assertReadable(name);
        hit = damage.hit(name);
        return store.get(name);
      },
    );
    if (name.endsWith(".kfm")) trace.count("replays of the archive");
    // Calls after the time-out aren't looked at.
    if (hit && clock.now() - called < STORE_TIMEOUT_MS) {
      trace.count(bytes === null ? "missing objects read" : "damaged objects read");
      this.#by.knowsDamaged.add(name);
    }
    return bytes;
  }

  async range(name: string, offset: number, length: number): Promise<Uint8Array | null> {
    const { store, damage, trace, clock } = this.#world;
    const called = clock.now();
    const guessed = this.#by.asking;
    let hit = false;
    const bytes = await this.#carry(
      "range",
      () => `${name} ${offset}+${length}`,
      async () => {
        this.#assertReadable(name);
        const found = await store.range(name, offset, length);
        hit = damage.hitIn(name, offset, found) || (damage.hit(name) && found!.length < length);
        return found;
      },
    );
    trace.count("ranges read");
    // Calls after the time-out aren't looked at.
    if (guessed) trace.count("ranges read ahead");
    if (hit && !guessed && clock.now() - called < STORE_TIMEOUT_MS) {
      trace.count(bytes === null ? "missing objects read" : "damaged objects read");
      this.#by.knowsDamaged.add(name);
    }
    return bytes;
  }

  list(prefix: string, after: string) {
    return this.#carry(
      "list",
      () => prefix,
      () => this.#world.store.list(prefix, after),
    );
  }

  delete(names: readonly string[]): Promise<void> {
    const { store, oracle } = this.#world;
    return this.#carry(
      "delete",
      () => names.join(" "),
      async () => {
        oracle.deleted(this.#by, names);
        await store.delete(names);
      },
    );
  }
}
