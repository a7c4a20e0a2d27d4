/**
 * A Worker: the real intake, with a network of the simulator's under it.
 *
 * WORKER1. It may run older or newer code than the objects, and may still call an instance that was superseded.
 * WORKER2. A call may be lost on its way, or its answer; an instance may die under it. The Worker itself may die under a
 *     request: its code goes no further, and its client hears nothing.
 */
import { stamp, type Stamp } from "../../src/engine/base/ids.ts";
import type { Address } from "../../src/engine/operator/routing.ts";
import type { Producer } from "../../src/engine/event/producer.ts";
import { rejected } from "../../src/engine/event/rejection.ts";
import { WIRE_VERSION, type AppendRequest, type AppendResponse } from "../../src/engine/partition/protocol.ts";
import { Intake } from "../../src/worker/ingest/intake.ts";
import type { PartitionClient } from "../../src/worker/ingest/partition-client.ts";
import type { OperatorName } from "./configuration.ts";
import type { Slot } from "./host.ts";
import type { Instance } from "./instance.ts";
import { InstanceClock } from "./clock.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

export interface Request {
  /** JSON texts of events. */
  readonly texts: readonly string[];
  /** Those that the code of this Worker rejects, and other code doesn't. */
  readonly flawed?: ReadonlySet<string>;
  readonly only: OperatorName | null;
  readonly full: boolean;
  /** The client numbers its requests (ONE2). */
  readonly producer: Producer | null;
  /** The client has heard of this stamp (TIME1). */
  readonly after?: Stamp;
  /** Events sent on at a time. */
  readonly batch: number;
}

/** A new one each time: whatever waits for a promise that never settles lives as long as that promise does. */
const never = (): Promise<never> => new Promise(() => undefined);

export class Worker {
  readonly name: string;
  version: number;
  /** It speaks a later version of the protocol than the objects do. */
  ahead = false;
  #generation = 0;
  readonly #world: World;
  readonly #random: Random;
  readonly #stale = new Map<Slot, Instance>();
  readonly #dying = new Set<() => void>();

  constructor(world: World, number: number) {
    this.name = `worker ${number}`;
    this.#world = world;
    this.#random = world.stream(this.name);
    this.version = world.deployed;
  }

  /** The isolate is gone with all its requests; another one takes its place. */
  die(): void {
    this.#generation += 1;
    this.#stale.clear();
    const dying = [...this.#dying];
    this.#dying.clear();
    for (const broken of dying) broken();
  }

  /** Continues to call what it knows. */
  keepCalling(slot: Slot, instance: Instance): void {
    this.#stale.set(slot, instance);
  }

  forgetStale(): void {
    this.#stale.clear();
  }

  /** Handles one request. Rejects where the Worker dies under it. */
  request(request: Request): Promise<Intake> {
    return new Promise((resolve, reject) => {
      const broken = (): void => reject(new Error("the connection broke"));
      this.#dying.add(broken);
      this.#handle(request).then(
        (intake) => {
          this.#dying.delete(broken);
          resolve(intake);
        },
        (error: unknown) => reject(error instanceof Error ? error : new Error(String(error))),
      );
    });
  }

  async #handle({ texts, flawed, only, full, producer, after = stamp(0), batch }: Request): Promise<Intake> {
    const routes = this.#world.routes(this.version);
    const nowMs = this.#world.clock.now();
    const intake = new Intake({
      post: this.#post(),
      routes,
      only: only === null ? null : routes.byOperator.get(only)!,
      defaults: { time: new Date(nowMs).toISOString(), id: () => "" },
      receivedMs: nowMs,
      ignoreUnrouted: false,
      standard: false,
      full,
      producer,
      after,
    });
    const unknown = rejected("unknown_type", "this code doesn't know the type");
    const lines = texts.map((text) => (flawed?.has(text) === true ? unknown : text));
    for (let from = 0; from < texts.length && intake.interruption === null; from += batch)
      await intake.take([{ lines: lines.slice(from, from + batch) }]);
    return intake;
  }

  #post(): PartitionClient {
    const { clock, trace } = this.#world;
    const generation = this.#generation;
    /** A dead isolate waits for ever. */
    const living = <T>(promise: Promise<T>): Promise<T> =>
      promise.then(
        (value) => (generation === this.#generation ? value : never()),
        (error: unknown) => (generation === this.#generation ? Promise.reject(error as Error) : never()),
      );
    return {
      append: (address, slice) => living(this.#append(address, slice)),
      clock: new InstanceClock(clock, this.#random, () => generation === this.#generation, 0),
      note: (what, facts) => trace.say(this.name, () => `note: ${what} ${JSON.stringify(facts)}`),
    };
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#world.clock.after(ms, resolve));
  }

  /** One crossing of the network. */
  async #cross(what: "calls lost on their way" | "answers lost"): Promise<void> {
    const { config, faulty, trace } = this.#world;
    await this.#sleep(this.#random.wait(config.netMs / 2));
    if (!faulty || !this.#random.chance(config.netLost)) return;
    trace.count(what);
    throw new Error("network connection lost");
  }

  async #append(address: Address, slice: AppendRequest): Promise<AppendResponse> {
    const { trace } = this.#world;
    const slot = this.#world.host.slotOf(address);
    await this.#cross("calls lost on their way");
    const sent = this.ahead ? { ...slice, v: WIRE_VERSION + 1 } : slice;
    if (this.ahead) trace.count("callers of a newer wire version");
    const instance = this.#instance(slot);
    const result = await instance.append(sent);
    if (result.tag === "busy" && result.code === "object_older") trace.count("callers told that the object is older");
    trace.say(
      this.name,
      () =>
        `hears from ${instance.name}: ${result.tag !== "decided" ? result.code : `decided ${result.statuses.join(" ")}`}`,
    );
    await this.#cross("answers lost");
    return result;
  }

  #instance(slot: Slot): Instance {
    const stale = this.#stale.get(slot);
    if (stale !== undefined && !stale.dead && stale.ended === null) {
      this.#world.trace.count("calls to superseded instances");
      return stale;
    }
    this.#stale.delete(slot);
    return this.#world.host.instance(slot);
  }

  /** Another call to a partition, through this Worker. */
  async call<T>(slot: Slot, run: (instance: Instance) => Promise<T>): Promise<T> {
    await this.#cross("calls lost on their way");
    const value = await run(this.#instance(slot));
    await this.#cross("answers lost");
    return value;
  }
}
