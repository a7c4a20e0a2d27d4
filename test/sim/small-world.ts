/**
 * A small world: seven events, two snapshots, one restart, or a few events with edits, an erasure and a retry among
 * them; and faults that are not drawn but chosen, call by call. So every place where one thing, or two, can go wrong
 * can be tried.
 *
 * SMALL1. Calls to the stores are numbered in the order in which they are made, whoever makes them.
 * SMALL2. With any choice every event is answered in the end, and all that was logged shows: in what runs, after a crash,
 *     and from archives and log alone.
 */
import { commandSlice } from "../../src/worker/ingest/command.ts";
import { Audit } from "./audit.ts";
import { configure, type Configuration } from "./configuration.ts";
import type { Fate } from "./fate.ts";
import type { Slot } from "./host.ts";
import { ERASE, PUT, REMOVE, RETRY } from "./model.ts";
import { Watched } from "./watched.ts";
import { Worker, type Request } from "./worker.ts";
import { World } from "./world.ts";

export const KINDS = ["crash before", "crash after", "rival", "late", "unheard", "lost"] as const;
export type Kind = (typeof KINDS)[number];

export interface Chosen {
  readonly at: number;
  readonly kind: Kind;
}

/** The story of the world. */
export const STORIES = ["events", "commands"] as const;
export type Story = (typeof STORIES)[number];

export interface SmallOutcome {
  /** Methods of all calls, in order. */
  readonly calls: readonly string[];
  readonly violations: readonly string[];
}

const never = { before: 0, after: 0, silent: 0, silentAfter: 0, late: 0, slow: 0, crash: 0, rival: 0 };
const drawn = configure(1);
const SMALL: Configuration = {
  ...drawn,
  adminMs: 0,
  travelMs: 0,
  maxKeys: { count: Infinity, ledger: Infinity, credits: Infinity, reminders: Infinity },
  maxEventsPerDay: Infinity,
  unmigratable: null,
  codec: "plain",
  databases: 1,
  pageRows: 1,
  operators: ["ledger"],
  partitions: { count: 1, ledger: 1, credits: 1, reminders: 1 },
  keys: ["a", "b"],
  versions: 1,
  log: never,
  store: never,
  netLost: 0,
  netMs: 2,
  skewMs: 0,
  maxTailBytes: 256_000_000,
  everyMs: 3_600_000,
  retainMs: 86_400_000,
  dedupKeepMs: 86_400_000,
  dedupMaxIds: 500_000,
  repliesMs: 86_400_000,
};

const WELL: Fate = { actMs: 1, answerMs: 1, error: null, crash: null };
const FATES: Readonly<Record<Exclude<Kind, "rival">, Fate>> = {
  "crash before": { ...WELL, crash: "before" },
  "crash after": { ...WELL, crash: "after" },
  late: { ...WELL, actMs: 65_000 },
  unheard: { ...WELL, answerMs: null },
  lost: { actMs: null, answerMs: null, error: null, crash: null },
};

export const smallWorld = (
  chosen: readonly Chosen[],
  story: Story = "events",
  write: ((line: string) => void) | null = null,
): Promise<SmallOutcome> => new SmallWorld(chosen, story, write).run();

class SmallWorld {
  readonly #world: World;
  readonly #chosen: ReadonlyMap<number, Kind>;
  readonly #slot: Slot;
  readonly #worker: Worker;
  readonly #story: Story;
  readonly #calls: string[] = [];
  readonly #audit: Audit;
  #commanded = 0;
  #rivals = 0;
  #rivalling = 0;
  #stepping: Promise<boolean> | null = null;

  constructor(chosen: readonly Chosen[], story: Story, write: ((line: string) => void) | null) {
    this.#story = story;
    this.#world = new World(SMALL, write);
    this.#world.faulty = false;
    this.#chosen = new Map(chosen.map(({ at, kind }) => [at, kind]));
    this.#slot = [...this.#world.host.slots.values()][0]!;
    this.#worker = new Worker(this.#world, 0);
    this.#world.script = (_, method) => this.#fate(method);
    this.#audit = new Audit(this.#world, (untilMs) => this.#step(untilMs));
  }

  #fate(method: string): Fate {
    const kind = this.#chosen.get(this.#calls.length);
    this.#calls.push(method);
    if (kind === undefined) return WELL;
    if (kind !== "rival") return FATES[kind];
    this.#rival();
    return WELL;
  }

  async run(): Promise<SmallOutcome> {
    const { oracle, clock } = this.#world;
    try {
      await (this.#story === "events" ? this.#events() : this.#commands());
      this.#world.script = null;
      // Late calls act, and superseded instances go.
      await this.#advance(120_000);
      if (this.#rivalling > 0) oracle.fail("the rival was never answered");
      for (const one of this.#slot.zombies) one.die("at last, as a zombie");
      await this.#audit.shows(this.#slot, "what runs");
      this.#audit.crash(this.#slot);
      await this.#audit.shows(this.#slot, "what comes back");
      this.#audit.crash(this.#slot);
      this.#audit.loseSnapshots(this.#slot);
      await this.#audit.shows(this.#slot, "a replay of the whole log");
    } catch (error) {
      if (oracle.violations.length === 0) oracle.fail(`the small world broke: ${String(error)}`);
    }
    this.#audit.crash(this.#slot);
    await clock.settle();
    return { calls: this.#calls, violations: oracle.violations };
  }

  /** One step at a time: of two at once the second would not wait for what the first sets off, and time would run ahead. */
  async #step(untilMs: number): Promise<boolean> {
    if (this.#world.oracle.violations.length > 0) throw new Error("a rule is broken");
    if (this.#stepping !== null) {
      await this.#stepping;
      return true;
    }
    this.#stepping = this.#world.clock.step(untilMs).finally(() => (this.#stepping = null));
    return this.#stepping;
  }

  async #advance(ms: number): Promise<void> {
    const until = this.#world.clock.now() + ms;
    await this.#world.clock.settle();
    while (await this.#step(until));
  }

  async #events(): Promise<void> {
    await this.#send("1a", "2b");
    await this.#send("3a");
    await this.#snapshot();
    await this.#send("4b", "1a");
    await this.#snapshot();
    await this.#send("5a");
    await this.#send("6b");
    this.#slot.current?.die("crashed by the story");
    await this.#send("7b", "3a");
  }

  /** A key that was erased beside a retry stays away, and an edit counts once. */
  async #commands(): Promise<void> {
    await this.#send("1a", "2b");
    await this.#command(PUT, "a", { if: "any", version: 1, state: { seqs: [], hash: 1, token: "put" } });
    await this.#snapshot();
    const under = this.#send("3b", "2b");
    const erased = this.#command(ERASE, "b", { if: "any", version: 1 });
    await Promise.all([under, erased, this.#command(RETRY, "b", { seq: 2 })]);
    await this.#send("4a");
    this.#slot.current?.die("crashed by the story");
    await this.#command(REMOVE, "a", { if: "none", version: 1 });
    await this.#send("7b", "3b");
  }

  /** Until it is answered. */
  async #command(type: string, key: string, data: object): Promise<void> {
    const command = { id: `command-${this.#commanded++}`, source: "small", type, key, data };
    const { clock } = this.#world;
    for (let attempt = 0; attempt < 6; attempt++) {
      const answered = this.#worker.call(this.#slot, (instance) =>
        instance.append(commandSlice([command], 1, this.#slot.address.seed, clock.now(), true)),
      );
      if ((await this.#awaited(answered))?.tag === "decided") return;
    }
    throw new Error(`${command.id} is never answered`);
  }

  /** Until it is answered. An event is named by its number and its key. */
  async #send(...events: readonly string[]): Promise<void> {
    const request = requestOf(events);
    for (let attempt = 0; ; attempt++) {
      if (attempt === 6) throw new Error(`${events.join(" ")} is never answered`);
      const intake = await this.#awaited(this.#worker.request(request));
      if (intake !== null && intake.interruption === null) break;
    }
    // A superseded instance that is asked may still know no better for a while.
    await this.#read();
  }

  async #read(): Promise<void> {
    await this.#awaited(this.#worker.call(this.#slot, (instance) => instance.read(["a", "b"])));
  }

  async #snapshot(): Promise<void> {
    await this.#awaited(
      this.#worker.call(this.#slot, (instance) => instance.call((partition) => partition.snapshot())),
    );
  }

  /** Null where it failed or took too long. */
  async #awaited<T>(promise: Promise<T>): Promise<T | null> {
    const watched = new Watched(promise);
    const limit = this.#world.clock.now() + 40_000;
    await this.#world.clock.settle();
    while (watched.outcome === null && (await this.#step(limit)));
    return watched.outcome !== null && "value" in watched.outcome ? watched.outcome.value : null;
  }

  /**
   * Another instance begins, writes, and takes snapshots; who was there continues, and the story's Worker continues to
   * call it.
   */
  #rival(): void {
    const { host } = this.#world;
    const old = this.#slot.current;
    if (old === null) return;
    host.supersede(this.#slot);
    this.#worker.keepCalling(this.#slot, old);
    const worker = new Worker(this.#world, 1 + this.#rivals++);
    const name = `${90 + this.#rivals}`;
    this.#rivalling += 1;
    const act = async (): Promise<void> => {
      await worker.request(requestOf([`${name}a`]));
      await worker.call(this.#slot, (instance) => instance.call((partition) => partition.snapshot())).catch(() => null);
      await worker.request(requestOf([`${name}1b`]));
      await worker.call(this.#slot, (instance) => instance.call((partition) => partition.snapshot())).catch(() => null);
    };
    void act()
      .catch(() => undefined)
      .then(() => (this.#rivalling -= 1));
  }
}

function requestOf(events: readonly string[]): Request {
  const texts = events.map((name) =>
    JSON.stringify({
      id: name,
      source: "small",
      type: "note",
      key: name.at(-1),
      data: { n: 1, from: name === "2b" ? 2 : 0, polite: false, secret: `secret of ${name}` },
    }),
  );
  return { texts, only: null, full: true, producer: null, batch: 10 };
}
