/**
 * A client: sends events in batches, waits, tries again with the same ids, gives up; sends duplicates, also at the same
 * time and through another Worker; reuses ids by mistake; asks and reads.
 *
 * CLIENT1. An answered event is decided; any other is sent again with the same ids, until the client gives up. Once the faults
 *     have stopped it never gives up: every event must get its answer.
 */
import type { Producer } from "../../src/engine/event/producer.ts";
import type { Intake } from "../../src/worker/ingest/intake.ts";
import { checkAnswer } from "./answers.ts";
import type { OperatorName } from "./configuration.ts";
import type { Slot } from "./host.ts";
import type { Nemesis } from "./nemesis.ts";
import type { Random } from "./random.ts";
import type { Request, Worker } from "./worker.ts";
import type { World } from "./world.ts";

interface Numbered {
  readonly producer: Producer;
  readonly texts: readonly string[];
}

interface Sent {
  readonly id: string;
  readonly text: string;
}

/** A client waits somewhat longer than a Worker may take. */
const PATIENCE_MS = 40_000;

export class Client {
  readonly name: string;
  /** The client's present step, for the report of one that never ends. */
  doing = "";
  readonly #world: World;
  readonly #workers: readonly Worker[];
  readonly #nemesis: Nemesis;
  readonly #random: Random;
  readonly #answered: Sent[] = [];
  /** It numbers its requests; what it sent so far, to be sent again as it was. */
  readonly #numbering: boolean;
  readonly #requests: Numbered[] = [];
  #epoch = 1;
  #number = 0;
  #made = 0;
  /** Numbered requests that are under way while it does other things. */
  #behind = 0;

  constructor(world: World, number: number, workers: readonly Worker[], nemesis: Nemesis) {
    this.name = `client-${number}`;
    this.#world = world;
    this.#workers = workers;
    this.#nemesis = nemesis;
    this.#random = world.stream(this.name);
    this.#numbering = number < world.config.numbering;
  }

  /** Works until its events are spent or the faults have stopped; then whatever it sent is answered or given up. */
  async run(): Promise<void> {
    const { config } = this.#world;
    while (this.#made < config.eventsPerClient && this.#world.faulty) {
      await this.#sleep(this.#random.wait(config.thinkMs));
      await this.#nemesis.rest();
      await this.#act();
    }
    while (this.#behind > 0) await this.#sleep(100);
  }

  async #act(): Promise<void> {
    const what = this.#random.weighted({
      send: 60,
      ask: 12,
      again: 8,
      reuse: 3,
      read: 18,
      scan: 3,
      snapshot: 4,
    });
    this.doing = what;
    switch (what) {
      case "send":
        return this.#numbering ? this.#sendNumbered() : this.#send(this.#newEvents(), null);
      case "ask":
        return this.#ask();
      case "again":
        return this.#again();
      case "reuse":
        return this.#reuse();
      case "read":
        return this.#read();
      case "scan":
        return this.#scan();
      case "snapshot":
        return this.#snapshot();
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.clock.after(ms, resolve));
  }

  // ---- events ----

  #newEvents(numbered?: string): Sent[] {
    const length = this.#random.between(1, this.#world.config.batch);
    return Array.from({ length }, () => this.#newEvent(this.#type(), numbered));
  }

  #type(only?: OperatorName): string {
    const operator = only ?? this.#random.pick(this.#world.config.operators);
    if (operator === "credits") return this.#random.pick(["buy", "take", "take"]);
    if (operator === "ledger") return "note";
    if (operator === "reminders") return this.#random.weighted({ remind: 5, forget: 2, drop: 1 });
    return this.#random.weighted({ note: 3, add: 3, wipe: 1 });
  }

  #newEvent(type: string, numbered?: string): Sent {
    const { config, clock } = this.#world;
    const id = `${this.name}-${this.#made++}`;
    const n = this.#random.between(1, 9);
    const from = type === "note" && this.#random.chance(0.1) ? this.#random.between(2, config.versions + 1) : 0;
    // A handler's outcome depends on the state, which other code may see otherwise.
    const full = type === "note" && config.versions === 1 && this.#random.chance(0.3);
    const event = {
      id,
      source: this.name,
      type,
      [this.#random.chance(0.5) ? "key" : "partitionkey"]: this.#random.pick(config.keys),
      ...(this.#random.chance(0.2) ? { time: new Date(clock.now()).toISOString() } : {}),
      data: { n, from, polite: this.#random.chance(0.4), full, secret: `secret of ${id}` },
      ...(numbered === undefined ? {} : { numbered }),
      ...(config.fat ? { filler: "x".repeat(150_000) } : {}),
    };
    return { id, text: JSON.stringify(event) };
  }

  /**
   * A numbered request, sent again as a whole until it is answered. The next one may be under way before that: numbers
   * overtake each other. Now and then the client starts anew and raises its epoch.
   */
  async #sendNumbered(): Promise<void> {
    const { trace } = this.#world;
    if (this.#random.chance(0.03)) {
      trace.count("epochs raised");
      this.#epoch += 1;
      this.#number = 0;
    }
    const producer = { id: this.name, epoch: this.#epoch, number: this.#number++ };
    const name = `${this.name}/${producer.epoch}/${producer.number}`;
    const request = { producer, texts: this.#newEvents(name).map((one) => one.text) };
    this.#requests.push(request);
    trace.count("numbered requests");
    const answered = this.#untilAnswered(request);
    if (!this.#world.faulty || this.#random.chance(0.7)) await answered;
    else {
      this.#behind += 1;
      void answered.finally(() => (this.#behind -= 1));
    }
  }

  async #untilAnswered({ producer, texts }: Numbered): Promise<void> {
    const { trace, config, oracle } = this.#world;
    for (let attempt = 0; ; attempt++) {
      if (attempt > 0) trace.count("retries by clients");
      const flawed = this.#random.chance(0.2) ? texts.filter(() => this.#random.chance(0.4)) : [];
      trace.count("events rejected for a while", flawed.length);
      const request: Request = {
        texts,
        flawed: new Set(flawed),
        only: null,
        producer,
        full: this.#random.chance(0.4),
        batch: this.#random.between(1, Math.max(1, config.batch)),
      };
      oracle.calls.numbered(producer);
      if (this.#world.faulty && this.#random.chance(0.12)) {
        trace.count("duplicates in flight");
        void this.#request(request);
      }
      const intake = await this.#request(request);
      if (intake !== null && intake.interruption === null && intake.waiting.length === 0) return;
      if (spent(intake) || (this.#world.faulty && this.#random.chance(0.05)))
        return trace.count("events given up", texts.length);
      await this.#sleep(this.#random.wait(500) * Math.min(8, attempt + 1));
    }
  }

  /** Sends until all is answered, or gives up. */
  async #send(events: readonly Sent[], only: OperatorName | null): Promise<void> {
    const { trace, config } = this.#world;
    let left = events;
    for (let attempt = 0; left.length > 0; attempt++) {
      if (attempt > 0) trace.count("retries by clients");
      const request: Request = {
        texts: left.map((one) => one.text),
        only,
        producer: null,
        full: only !== null || this.#random.chance(0.4),
        batch: this.#random.between(1, Math.max(1, config.batch)),
      };
      if (this.#world.faulty && this.#random.chance(0.12)) {
        trace.count("duplicates in flight");
        void this.#request(request);
      }
      const intake = await this.#request(request);
      if (intake !== null) {
        const through = intake.interruption === null ? left.length : intake.counts.through;
        // An event that waits for a fixed migration isn't decided.
        const waits = new Set(intake.waiting);
        this.#answered.push(...left.filter((_, i) => i < through && !waits.has(i)));
        left = left.filter((_, i) => i >= through || waits.has(i));
      }
      if (left.length === 0) return;
      if (spent(intake) || (this.#world.faulty && this.#random.chance(0.05))) {
        trace.count("events given up", left.length);
        return;
      }
      await this.#sleep(this.#random.wait(500) * Math.min(8, attempt + 1));
    }
  }

  /** One request and its answer, checked; null where there was none. */
  async #request(request: Request): Promise<Intake | null> {
    const { trace, clock, oracle } = this.#world;
    trace.count(request.only === null ? "requests" : "asks");
    const worker = this.#random.pick(this.#workers);
    trace.say(
      this.name,
      () => `sends ${request.texts.map((text) => (JSON.parse(text) as Sent).id).join(" ")} by ${worker.name}`,
    );
    const patience = new Promise<null>((resolve) => void clock.after(PATIENCE_MS, () => resolve(null)));
    const answered = worker.request(request).catch(() => null);
    const intake = await Promise.race([answered, patience]);
    if (intake === null) {
      trace.say(this.name, () => "hears nothing");
      return null;
    }
    const { counts, interruption } = intake;
    trace.say(this.name, () => `is answered ${interruption?.code ?? "ok"} ${JSON.stringify(counts)}`);
    const flaw = checkAnswer(this.#world, request, intake);
    if (flaw !== null) oracle.fail(`${this.name} was answered wrongly: ${flaw}`);
    return intake;
  }

  async #ask(): Promise<void> {
    const only = this.#random.pick(this.#world.config.operators);
    await this.#send([this.#newEvent(this.#type(only))], only);
  }

  /** Sends once more what was answered long ago. */
  async #again(): Promise<void> {
    const numbered = this.#requests.length === 0 ? undefined : this.#random.pick(this.#requests);
    if (numbered !== undefined) return this.#untilAnswered(numbered);
    if (this.#answered.length === 0) return;
    const events = new Set(Array.from({ length: this.#random.between(1, 4) }, () => this.#random.pick(this.#answered)));
    // Relays write the same in other words.
    const relayed = ({ id, text }: Sent): Sent => ({
      id,
      text: text.replace(/"time":"([^"]+)Z"/, '"time":"$1+00:00"'),
    });
    await this.#send(
      [...events].map((event) => (this.#random.chance(0.3) ? relayed(event) : event)),
      null,
    );
  }

  /** An id that belongs to another event. */
  async #reuse(): Promise<void> {
    if (this.#answered.length === 0) return;
    const { id, text } = this.#random.pick(this.#answered);
    const event = JSON.parse(text) as { data: { n: number }; key?: string; partitionkey?: string };
    // Another key is another event; where it is in the same partition that is noticed.
    const name = event.key === undefined ? "partitionkey" : "key";
    if (this.#random.chance(0.4)) event[name] = this.#random.pick(this.#world.config.keys);
    else event.data.n += 1;
    await this.#send([{ id, text: JSON.stringify(event) }, this.#newEvent(this.#type())], null);
  }

  // ---- looking: tried a few times, since nothing depends on it ----

  async #tried(slot: Slot, run: Parameters<Worker["call"]>[1]): Promise<void> {
    for (let attempt = 0; attempt < 3; attempt++) {
      const worker = this.#random.pick(this.#workers);
      const patience = new Promise<false>((resolve) => void this.#world.clock.after(PATIENCE_MS, () => resolve(false)));
      const done = worker.call(slot, run).then(
        () => true,
        () => false,
      );
      if (await Promise.race([done, patience])) return;
    }
  }

  async #read(): Promise<void> {
    this.#world.trace.count("reads");
    const { keys } = this.#world.config;
    const slot = this.#slot();
    // Some look again and again, for longer than an instance may go without asking for its epoch.
    for (let looks = this.#random.chance(0.2) ? 7 : 1; looks > 0; looks--) {
      await this.#tried(slot, (instance) => instance.read([this.#random.pick(keys), this.#random.pick(keys)]));
      if (looks > 1) await this.#sleep(this.#random.wait(4_000));
    }
  }

  async #scan(): Promise<void> {
    this.#world.trace.count("scans");
    await this.#tried(this.#slot(), (instance) => instance.scan());
  }

  async #snapshot(): Promise<void> {
    await this.#tried(this.#slot(), (instance) => instance.call((partition) => partition.snapshot()));
  }

  #slot(): Slot {
    return this.#random.pick([...this.#world.host.slots.values()]);
  }
}

/** Nothing more is taken today. */
const spent = (intake: Intake | null): boolean => intake?.interruption?.code === "quota_exceeded";
