/**
 * A world for timelines and promotions: two databases, the directory, and any number of callers. A call may wait before
 * it acts or before it is answered. It may fail, or be executed twice, or long after its caller gave it up. Its caller
 * may die. The code that runs is the engine's (history/timelines.ts, history/promotion.ts), over stores in memory.
 *
 * LINESWORLD1. A draw of 0 is a call that works at once. So a shorter list of draws is a simpler world.
 * LINESWORLD2. An event is a row of the log. A bare writer answers a duplicate only after the same look has shown the
 *     line open. Other tests do this with partitions.
 */
import { brotli } from "../../src/adapters/brotli.ts";
import { epoch, seq, stamp, type Seq, type Stamp } from "../../src/engine/base/ids.ts";
import type { Directory, Floor, LineStore, Log, ObjectStore } from "../../src/engine/base/ports.ts";
import { LOG_BEGIN, type Main, type Segment } from "../../src/engine/base/records.ts";
import { limited, persistent } from "../../src/engine/base/retry.ts";
import { type Compared, endOfLine, type PromotionStores } from "../../src/engine/history/promotion.ts";
import type { Stores } from "../../src/engine/history/savepoints.ts";
import type { TimelineStores } from "../../src/engine/history/timelines.ts";
import { MemoryDatabase } from "../../src/testkit/memory-log.ts";
import { MemoryStore } from "../../src/testkit/memory-store.ts";
import { MemoryDirectory, MemoryLines } from "../../src/testkit/memory-timelines.ts";
import { VirtualClock } from "../../src/testkit/virtual-clock.ts";

/** Draws a whole number from 0 up to `below`. */
export type Draw = (below: number) => number;

/** One caller, whose stores may fail and who may die at any call. */
export interface Caller {
  readonly name: string;
  /** True if its calls may fail. */
  readonly faulty: boolean;
  dead: boolean;
  /** The tag that it accepts, while it promotes. */
  accepted: string | null;
}

/** A partition of a line, as one statement of its database shows it. */
interface Look {
  readonly there: boolean;
  readonly open: boolean;
  readonly head: Seq;
  readonly stamp: Stamp;
  readonly floor: Stamp;
  readonly rows: readonly Segment[];
  readonly ids: readonly string[];
}

export interface Ports {
  readonly timelines: TimelineStores;
  readonly promotion: PromotionStores;
  readonly objects: ObjectStore;
  readonly directory: Directory;
  log(line: number, database: number): Log;
  look(line: number, database: number): Promise<Look>;
}

export const DATABASES = [0, 1] as const;

const OPERATOR = "n";

/** Every event on one of the lines alone: of the main line with "-", of the target with "+". */
export const difference = (main: readonly string[], target: readonly string[]): string =>
  [
    ...main.filter((id) => !target.includes(id)).map((id) => `-${id}`),
    ...target.filter((id) => !main.includes(id)).map((id) => `+${id}`),
  ]
    .sort()
    .join(" ");

export const etagOf = ({ line, switches }: Main, target: number, list: string): string =>
  `${line}>${target}#${switches}: ${list}`;

/** The event of a row. A replay decided a row with a mark otherwise. */
export const eventOf = (payload: string): string => payload.replace("~", "");

const differs = (payload: string): boolean => /[37]$/.test(payload);

export class LinesWorld {
  readonly clock = new VirtualClock();
  readonly databases = DATABASES.map(() => new MemoryDatabase());
  readonly directory = new MemoryDirectory(this.databases[0]!);
  readonly objects = new MemoryStore();
  readonly trace: string[] = [];
  /** Where each line that was ever added starts. */
  readonly starts = new Map<number, { readonly parent: number; readonly at: Stamp }>();
  /** Runs after each statement that acted. `before`: main before it. */
  acted: (by: Caller, method: string, args: readonly unknown[], before: Main) => void = () => undefined;
  readonly #draw: Draw;
  /** Calls that are left to hang or to be the last one. Without a bound no caller would get anywhere. */
  #faults = 5;

  constructor(draw: Draw) {
    this.#draw = draw;
  }

  caller(name: string, faulty = true): Caller {
    return { name, faulty, dead: false, accepted: null };
  }

  ports(by: Caller): Ports {
    const faulty = <T extends object>(what: string, port: T): T => this.#faulty(by, what, port);
    const { clock } = this;
    const directory = faulty<Directory>("directory", this.directory);
    const lines = this.databases.map((db, i) => faulty<LineStore>(`lines ${i}`, new MemoryLines(db)));
    const objects = faulty<ObjectStore>("objects", this.objects);
    const floors = (line: number): Floor[] =>
      this.databases.map((db, i) =>
        faulty(
          `floor ${i} of ${line}`,
          db.floorPort(() => clock.now(), line),
        ),
      );
    const savepoints = (line: number) => ({
      files: { line, clock, objects, codec: brotli },
      stores: this.databases.map((db, i) =>
        faulty(`savepoints ${i} of ${line}`, db.savepointStore(line)),
      ) as unknown as Stores,
    });
    const looks = (line: number, i: number) => faulty(`partition ${i} of ${line}`, { look: () => this.#look(line, i) });
    return {
      directory,
      objects,
      timelines: { directory, lines, savepoints },
      promotion: { directory, lines, floors, objects, codec: brotli },
      log: (line, i) => faulty(`log ${i} of ${line}`, this.#log(line, i)),
      look: (line, i) => persistent(clock, "D1", () => looks(line, i).look()),
    };
  }

  #log(line: number, i: number): Log {
    return this.databases[i]!.log({ line, operator: OPERATOR, partition: i });
  }

  /** Rows of a partition of a line, with those that it starts from. */
  rowsOf(line: number, i: number): readonly Segment[] {
    const start = this.starts.get(line);
    const own = this.databases[i]!.segments.get(`${line}/${OPERATOR}/${String(i).padStart(4, "0")}`) ?? [];
    if (start === undefined) return own;
    return [...this.rowsOf(start.parent, i).filter((row) => row.stamp <= start.at), ...own];
  }

  idsOf(line: number): readonly string[] {
    return DATABASES.flatMap((i) => this.rowsOf(line, i).map(({ payload }) => payload));
  }

  async #look(line: number, i: number): Promise<Look> {
    const rows = this.rowsOf(line, i);
    const { floor = 0, open = false, removed = false } = this.databases[i]!.lines.get(line) ?? {};
    return {
      there: (await this.#log(line, i).row()) !== null,
      open: open && !removed,
      head: seq(rows.length),
      stamp: rows.at(-1)?.stamp ?? stamp(0),
      floor: stamp(floor),
      rows,
      ids: rows.map(({ payload }) => payload),
    };
  }

  /** Sends an event. Returns true if it was acknowledged. */
  async send(ports: Ports, line: number, database: number, id: string): Promise<boolean> {
    for (let attempt = 0; attempt < 4; attempt++) {
      const look = await ports.look(line, database);
      // A stale writer learns from its append that the line isn't open.
      if (!look.open && this.#draw(4) !== 3) return false;
      if (look.open && look.ids.some((known) => eventOf(known) === id)) return true;
      const log = ports.log(line, database);
      const { head, stamp: last } = look;
      if (!look.there)
        await limited(this.clock, "D1", () => log.create(1, head === 0 ? LOG_BEGIN : { seq: head, stamp: last }));
      const row = this.#row(id, seq(head + 1), stamp(Math.max(last, look.floor, this.#time()) + 1));
      if ((await limited(this.clock, "D1", () => log.append([row], epoch(0)))) === "appended") return true;
    }
    return false;
  }

  /** Takes in what the source has logged. Returns false if it can't. Some outcomes differ under the replay's code. */
  async takeIn(ports: Ports, line: number, source: number, database: number): Promise<boolean> {
    const log = ports.log(line, database);
    for (let attempt = 0; attempt < 12; attempt++) {
      const [own, theirs] = [await ports.look(line, database), await ports.look(source, database)];
      const next = theirs.rows[own.head];
      if (next === undefined) return true;
      if (!own.there)
        await limited(this.clock, "D1", () =>
          log.create(1, own.head === 0 ? LOG_BEGIN : { seq: own.head, stamp: own.stamp }),
        );
      const payload = differs(next.payload) ? `${next.payload}~` : next.payload;
      const row = { ...next, epoch: epoch(0), group: `${line} ${next.group}`, payload };
      if ((await limited(this.clock, "D1", () => log.append([row], epoch(0), "replaying"))) === "appended") continue;
      const now = await ports.look(line, database);
      if (now.head <= own.head) return false;
    }
    return false;
  }

  /** A stamp of now. Some writers' clocks are ahead. */
  #time(): number {
    return (this.clock.now() + (this.#draw(6) === 5 ? 20_000 : 0)) * 1024;
  }

  #row(id: string, at: Seq, of: Stamp): Segment {
    const rest = { format: 1, operatorVersion: 1, code: "c", codec: "json", checksum: 1, bytes: 1, stats: "{}" };
    return { ...rest, seq: at, last: at, stamp: of, epoch: epoch(0), group: `${id} ${of}`, payload: id };
  }

  /** The list of a promotion, read from the logs as they are. It is empty for a target that starts where main ends. */
  async compare(ports: Ports, main: Main, target: number): Promise<Compared> {
    const { all } = await persistent(this.clock, "D1", () => ports.directory.all());
    if (all.find(({ line }) => line === target)?.unstarted === true) {
      const { at } = all.find(({ line }) => line === main.line)!;
      const end = await endOfLine(this.clock, ports.promotion.floors(main.line), at);
      return { etag: etagOf(main, target, ""), done: "", end };
    }
    const ids = async (line: number): Promise<string[]> =>
      (await Promise.all(DATABASES.map((i) => ports.look(line, i)))).flatMap((look) => look.ids);
    const list = difference(await ids(main.line), await ids(target));
    return { etag: etagOf(main, target, list), done: list };
  }

  #faulty<T extends object>(by: Caller, what: string, port: T): T {
    return new Proxy(port, {
      get: (target, name) => {
        const method = Reflect.get(target, name, target) as unknown;
        if (typeof method !== "function") return method;
        return (...args: unknown[]) =>
          this.#call(by, what, String(name), args, () => Reflect.apply(method, target, args) as Promise<unknown>);
      },
    });
  }

  async #call(by: Caller, what: string, method: string, args: readonly unknown[], act: () => Promise<unknown>) {
    if (by.dead) return never();
    const told = `${by.name}: ${what}.${method}(${args.map((arg) => JSON.stringify(arg)).join(", ")})`;
    const later = (ms: number, how: string): void =>
      void this.clock.after(ms, () => void run(how).catch(() => undefined));
    const run = async (how: string): Promise<unknown> => {
      const before = this.directory.now;
      this.trace.push(`${this.clock.now() % 1_000_000} ${told}${how}`);
      // The fakes act before they return, so nothing comes between.
      const result = act();
      for (const { line, parent, at } of this.directory.timelines.values())
        if (parent !== null) this.starts.set(line, { parent, at });
      this.acted(by, method, args, before);
      return result;
    };
    const fate = by.faulty ? FATES[this.#draw(FATES.length)]! : "at once";
    if (fate === "at once") return run("");
    if (fate === "waits" || fate === "answers late") {
      const wait = () => new Promise<void>((resolve) => this.clock.after(1 + this.#draw(40), resolve));
      if (fate === "waits") await wait();
      if (by.dead) return never();
      const result = await run("");
      if (fate === "answers late") await wait();
      return by.dead ? never() : result;
    }
    if (fate === "before") throw new Error("failed before it acted");
    if (fate === "late" || fate === "dies") {
      if (this.#faults-- <= 0) return run("");
      if (fate === "dies") {
        if (this.#draw(2) === 1) await run("");
        by.dead = true;
        this.trace.push(`${told}: ${by.name} dies`);
        return never();
      }
      later(1 + this.#draw(8) * 9_000, ", executed late");
      return never();
    }
    if (fate === "twice") {
      // As if the first attempt had hung, and its caller had tried again.
      later((1 + this.#draw(60)) * (this.#draw(2) === 1 ? 500 : 3), ", executed again");
      return run("");
    }
    await run(", answer lost");
    throw new Error("failed after it acted");
  }
}

const FATES = [
  ...Array.from({ length: 8 }, () => "at once" as const),
  ...Array.from({ length: 8 }, () => "waits" as const),
  ...Array.from({ length: 4 }, () => "twice" as const),
  "answers late",
  "before",
  "after",
  "late",
  "dies",
] as const;

const never = (): Promise<never> => new Promise(() => undefined);
