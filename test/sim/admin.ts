/**
 * Somebody who edits states on conditions, erases keys, and retries or deletes what is in the quarantine: one thing
 * after the other, several at once, or all of it beside each other on one key. A request without an answer is sent
 * again with the same id, and some of it much later. It has its own chance, so that what else is drawn stays as it is.
 */
import { partitionOfKey } from "../../src/engine/operator/routing.ts";
import { tagOf, type Condition, type Tag } from "../../src/engine/state/edit.ts";
import type { Quarantined } from "../../src/engine/state/quarantine.ts";
import { commandSlice, type CommandEvent } from "../../src/worker/ingest/command.ts";
import type { OperatorName } from "./configuration.ts";
import type { Slot } from "./host.ts";
import { DELETE, ERASE, PUT, REMOVE, RETRY, type Shown } from "./model.ts";
import type { Random } from "./random.ts";
import type { Worker } from "./worker.ts";
import type { World } from "./world.ts";

interface Place {
  readonly slot: Slot;
  readonly operator: OperatorName;
  readonly key: string;
}

interface Sent {
  readonly slot: Slot;
  readonly commands: readonly CommandEvent[];
}

/** How long it waits for an answer. */
const PATIENCE_MS = 40_000;

export class Admin {
  readonly #world: World;
  readonly #workers: readonly Worker[];
  readonly #random: Random;
  readonly #sent: Sent[] = [];
  #made = 0;

  constructor(world: World, workers: readonly Worker[]) {
    this.#world = world;
    this.#workers = workers;
    this.#random = world.stream("admin");
  }

  start(): void {
    const { clock, config } = this.#world;
    if (config.adminMs === 0) return;
    clock.after(this.#random.wait(config.adminMs), () => {
      if (!this.#world.faulty) return;
      void this.#act();
      this.start();
    });
  }

  async #act(): Promise<void> {
    switch (this.#random.weighted({ put: 5, remove: 2, erase: 1, steer: 9, together: 2, again: 2 })) {
      case "put":
        return this.#edit(PUT, this.#place());
      case "remove":
        return this.#edit(REMOVE, this.#place());
      case "erase":
        return this.#erase(this.#place());
      case "steer":
        return this.#steer();
      case "together":
        return this.#together(this.#place());
      case "again":
        return this.#again();
    }
  }

  #place(): Place {
    const { config } = this.#world;
    const operator = this.#random.pick(config.operators);
    return this.#placeOf(operator, this.#random.pick(config.keys));
  }

  #placeOf(operator: OperatorName, key: string): Place {
    const { host } = this.#world;
    const route = this.#world.routes(1).byOperator.get(operator)!;
    return { operator, key, slot: host.slotOf(route.addresses[partitionOfKey(route, key)!]!) };
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.clock.after(ms, resolve));
  }

  // ---- edits ----

  /** Two who have read the same may put at the same time: one of them finds it changed. */
  async #edit(type: string, place: Place): Promise<void> {
    const [condition, was] = await this.#condition(place);
    const twice = this.#random.chance(0.25) ? 2 : 1;
    await Promise.all(
      Array.from({ length: twice }, () => {
        const state = type === PUT ? { state: this.#state(place.operator) } : {};
        return this.#send(place, type, { if: condition, version: 1, ...state, was });
      }),
    );
  }

  async #condition({ slot, key }: Place): Promise<readonly [Condition, readonly string[]]> {
    const kind = this.#random.weighted({ any: 2, none: 2, tag: 6 });
    if (kind !== "tag") return [kind, []];
    let entry: Shown | null = null;
    await this.#tried(slot, async (instance) => {
      entry = (await instance.read([key]))[0] ?? null;
    });
    const read = entry as Shown | null;
    if (read === null) return ["none", []];
    // Somebody thinks about it meanwhile.
    if (this.#random.chance(0.5)) await this.#sleep(this.#random.skewed(1, 20_000));
    const tag = tagOf(read);
    const other: Tag = [tag[0], (tag[1] ^ 1) >>> 0];
    // A tag of another state of the same event, and one that never was, match nothing.
    if (this.#random.chance(0.15)) return [[other], [`not ${read.text}`]];
    return this.#random.chance(0.2)
      ? [
          [other, tag],
          [`not ${read.text}`, read.text],
        ]
      : [[tag], [read.text]];
  }

  /** Of version 1 of the operator, so that all code can read it. */
  #state(operator: OperatorName): object {
    const [one, two] = [this.#random.between(0, 50), this.#random.between(0, 50)];
    if (operator === "count") return { n: one, sum: two };
    if (operator === "credits") return { left: one, taken: two };
    if (operator === "reminders") return { set: one, fired: two, last: 0 };
    // A state that was put can be migrated, whatever its key.
    const key = this.#world.config.unmigratable === null ? {} : { key: "put" };
    return { seqs: [], hash: one, token: `put ${this.#made}`, ...key };
  }

  #erase(place: Place): Promise<void> {
    return this.#send(place, ERASE, { if: "any", version: 1 });
  }

  // ---- the quarantine ----

  async #steer(): Promise<void> {
    const slot = this.#random.pick([...this.#world.host.slots.values()]);
    const entries = await this.#quarantined(slot);
    if (entries.length === 0) return;
    const many = this.#random.chance(0.4);
    if (many && entries.length > 1) this.#world.trace.count("commands of many");
    const chosen = many ? entries : [this.#random.pick(entries)];
    // Some fix the state first.
    const operator = slot.address.operator as OperatorName;
    if (this.#random.chance(0.5)) {
      const state = this.#state(operator);
      await this.#send({ slot, operator, key: chosen[0]!.key }, PUT, { if: "any", version: 1, state });
    }
    await this.#press(slot, chosen);
  }

  async #quarantined(slot: Slot): Promise<readonly Quarantined[]> {
    let entries: readonly Quarantined[] = [];
    await this.#tried(slot, async (instance) => {
      entries = await instance.quarantined();
    });
    return entries;
  }

  /** Two people may press the buttons at the same time. */
  async #press(slot: Slot, entries: readonly Quarantined[]): Promise<void> {
    const presses = entries.flatMap((entry) => (this.#random.chance(0.4) ? [entry, entry] : [entry]));
    if (presses.length > 1 && this.#random.chance(0.4)) {
      const type = this.#random.chance(0.75) ? RETRY : DELETE;
      return this.#sendAll(
        slot,
        presses.map(({ seq, key }) => this.#command(type, key, { seq })),
      );
    }
    await Promise.all(presses.map((entry) => this.#pressed(slot, entry)));
  }

  async #pressed(slot: Slot, { seq, key }: Quarantined): Promise<void> {
    const operator = slot.address.operator as OperatorName;
    await this.#send({ slot, operator, key }, this.#random.chance(0.75) ? RETRY : DELETE, { seq });
  }

  /** Events, an erasure, edits and commands on the quarantine, each while the one before it is under way. */
  async #together(place: Place): Promise<void> {
    const { slot, operator, key } = place;
    const { config, trace } = this.#world;
    const pause = (): Promise<void> => this.#sleep(this.#random.wait(config.logMs / 2));
    const under: Promise<unknown>[] = [];
    trace.count("erasures beside other commands");
    under.push(this.#events(place));
    await pause();
    under.push(this.#erase(place));
    for (let looks = this.#random.between(1, 5); looks > 0; looks--) {
      await pause();
      const entries = operator === "ledger" ? await this.#quarantined(slot) : [];
      under.push(
        this.#press(
          slot,
          entries.filter((one) => one.key === key),
        ),
      );
      if (this.#random.chance(0.2)) under.push(this.#edit(PUT, place));
    }
    await Promise.all(under);
  }

  /** Sends events of a key of the ledger, and retries what is in the quarantine of it. */
  async askFor(key: string): Promise<void> {
    const place = this.#placeOf("ledger", key);
    await this.#events(place);
    const entries = await this.#quarantined(place.slot);
    for (const entry of entries.filter((one) => one.key === key)) await this.#send(place, RETRY, { seq: entry.seq });
  }

  async #events({ operator, key }: Place): Promise<void> {
    const { config } = this.#world;
    const type = { count: "add", ledger: "note", credits: "take", reminders: "remind" }[operator];
    const texts = Array.from({ length: this.#random.between(1, 5) }, () => {
      const id = `admin-0-${this.#made++}`;
      const from = type === "note" && this.#random.chance(0.4) ? config.versions + 1 : 0;
      const full = type === "note" && config.versions === 1;
      const data = { n: 1, from, polite: false, full, secret: `secret of ${id}` };
      return JSON.stringify({ id, source: "admin", type, key, data });
    });
    await this.#random
      .pick(this.#workers)
      .request({ texts, only: operator, full: true, producer: null, batch: 10 })
      .catch(() => undefined);
  }

  // ---- sending ----

  async #send({ slot, key }: Place, type: string, data: unknown): Promise<void> {
    await this.#sendAll(slot, [this.#command(type, key, data)]);
  }

  #command(type: string, key: string, data: unknown): CommandEvent {
    return { id: `admin-${this.#made++}`, source: `keyframe:${type.split(".")[1]}`, type, key, data };
  }

  async #sendAll(slot: Slot, commands: readonly CommandEvent[]): Promise<void> {
    const sent = { slot, commands };
    this.#sent.push(sent);
    await this.#deliver(sent);
  }

  async #again(): Promise<void> {
    if (this.#sent.length === 0) return;
    this.#world.trace.count("commands repeated");
    await this.#deliver(this.#random.pick(this.#sent));
  }

  async #deliver({ slot, commands }: Sent): Promise<void> {
    const { clock, trace } = this.#world;
    await this.#tried(slot, async (instance, worker) => {
      for (const { type, data, key, id } of commands)
        trace.say("admin", () => `${type} ${JSON.stringify(data)} of ${key}, ${id}`);
      await instance.append(commandSlice(commands, worker.version, slot.address.seed, clock.now(), true));
    });
  }

  /** Three times at most: nothing depends on it. */
  async #tried(
    slot: Slot,
    run: (instance: Parameters<Parameters<Worker["call"]>[1]>[0], worker: Worker) => Promise<void>,
  ): Promise<void> {
    for (let attempt = 0; attempt < 3; attempt++) {
      const worker = this.#random.pick(this.#workers);
      const patience = this.#sleep(PATIENCE_MS).then(() => false);
      const done = worker
        .call(slot, (instance) => run(instance, worker))
        .then(
          () => true,
          () => false,
        );
      if (await Promise.race([done, patience])) return;
    }
  }
}
