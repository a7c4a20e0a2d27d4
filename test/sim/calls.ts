/**
 * The answers of instances to events, as they are given, whoever hears them in the end. An answered event is in the
 * log, with its first outcome and reply; an event is called new once (LOG1, ONE1, ONE4, ONE6); only an older epoch of a
 * producer is refused (ONE2); queues and a day's events have their bounds, and nobody is turned away before those are
 * reached (LOG6).
 */
import { PENDING_BYTES, PENDING_EVENTS } from "../../src/engine/base/limits.ts";
import type { Producer } from "../../src/engine/event/producer.ts";
import type { AppendRequest, AppendResponse } from "../../src/engine/partition/protocol.ts";
import type { OperatorName } from "./configuration.ts";
import { outcomeFrom, type LoggedOutcome } from "./decoder.ts";
import type { Instance } from "./instance.ts";
import type { Logged } from "./model.ts";
import type { Came } from "./settlements.ts";
import { contentOf, nameOf, type Truth } from "./truth.ts";
import type { World } from "./world.ts";

const DAY_MS = 86_400_000;
const STATUS = ["a", "r", "q"] as const;
const REUSED = 3;
const DUPLICATE = 8;
const FORGOTTEN = 4 + DUPLICATE;
const UNMIGRATED = 5;

export class Calls {
  readonly #world: World;
  readonly #fail: (what: string) => void;
  readonly #pending = new Map<Instance, { bytes: number; events: number; calls: number }>();
  /** Names of events whose callers were told that D1 is silent: they may still be logged, so they count as spent. */
  readonly #unheard = new Map<Instance, Set<string>>();
  /** The highest epoch in which a producer ever sent. */
  readonly #epochs = new Map<string, number>();

  constructor(world: World, fail: (what: string) => void) {
    this.#world = world;
    this.#fail = fail;
  }

  died(by: Instance): void {
    this.#pending.delete(by);
    this.#unheard.delete(by);
  }

  sent(by: Instance, slice: AppendRequest): () => void {
    const pending = this.#pending.get(by) ?? { bytes: 0, events: 0, calls: 0 };
    this.#pending.set(by, pending);
    pending.bytes += slice.bytes;
    pending.events += slice.keys.length;
    pending.calls += 1;
    // The queue that waits for the opening has a bound of its own, and the first of each queue is taken whatever its size.
    if (pending.calls > 2 && (pending.bytes > 2 * PENDING_BYTES + slice.bytes || pending.events > 2 * PENDING_EVENTS))
      this.#world.clock.after(1, () => {
        if (pending.bytes > 2 * PENDING_BYTES + slice.bytes)
          this.#fail(`${by.name} holds ${pending.bytes} bytes (LOG6)`);
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

  #mayRefuse({ producer }: AppendRequest): boolean {
    return producer !== undefined && producer.epoch < (this.#epochs.get(producer.id) ?? 0);
  }

  /** `shown`: the last event that the instance was known to have applied when it was called. */
  decided(by: Instance, slice: AppendRequest, result: AppendResponse, shown: number): void {
    const { trace } = this.#world;
    if (result.tag === "busy" && result.code === "log_rewound")
      trace.count("refused, since D1 was restored to an older point");
    if (by.past !== null) return;
    if (result.tag === "busy") {
      trace.count("busy answers");
      if (result.code === "queue_full") trace.count("full queues");
      if (result.code === "quota_exceeded") this.#spent(by, slice);
      if (result.code === "store_unavailable") this.#notHeard(by, slice);
      if (result.code === "state_newer" && this.#world.oracle.kept.promisesRollback(by.slot, by.version, 0))
        this.#fail(`${by.name} can't go back to version ${by.version}, within the retention time (CODE3)`);
      return;
    }
    if (result.tag === "unfit") {
      trace.count("producers refused");
      if (!this.#mayRefuse(slice))
        this.#fail(`${by.name} refused ${JSON.stringify(slice.producer)}: ${result.message}`);
      return;
    }
    this.#world.oracle.mustNotGoOn(by);
    const truth = this.#world.oracle.truth(by.slot.name);
    const told = new Map(result.details.map(([i, seq, text]) => [i, { seq, text }]));
    const events = JSON.parse(`[${slice.body}]`) as Record<string, unknown>[];
    const known = Math.max(shown, by.firstHead);
    let lastNew = 0;
    for (const [i, event] of events.entries()) {
      const status = result.statuses[i]!;
      const name = nameOf(event);
      const same = truth.byName.get(name) ?? [];
      const wrong = (what: string): void => this.#fail(`${by.name} answered ${status} for ${name}: ${what}`);
      const detail = told.get(i);
      if (slice.full && detail === undefined) wrong("no seq is told");
      if (status === UNMIGRATED) {
        trace.count("events whose key can't be migrated");
        if (!truth.model.mayBeUnmigrated(slice.keys[i]!, by.version, known)) wrong("its key can be migrated");
        continue;
      }
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
        if (logged.content === contentOf(event, slice.keys[i]!)) wrong("it says the same (ONE4)");
        continue;
      }
      if (logged.content !== contentOf(event, slice.keys[i]!)) wrong("it was logged with other content (ONE4)");
      this.#outcome(truth, logged, status, detail, known, wrong);
      by.shown = Math.max(by.shown, logged.seq);
      if (status >= DUPLICATE) {
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
    if (truth.remembers(first, truth.head + 1, truth.clock)) return `its request begins at seq ${first.seq} (ONE2)`;
    return detail === undefined || (detail.seq === 0 && detail.text === null) ? null : "more is told than is known";
  }

  #notHeard(by: Instance, slice: AppendRequest): void {
    const names = this.#unheard.get(by) ?? new Set();
    this.#unheard.set(by, names);
    for (const event of JSON.parse(`[${slice.body}]`) as Record<string, unknown>[]) names.add(nameOf(event));
  }

  /** Nobody is turned away before the day's share is used up by what is logged and what waits. */
  #spent(by: Instance, slice: AppendRequest): void {
    const { trace, config } = this.#world;
    trace.count("quotas exceeded");
    const share = Math.ceil(config.maxEventsPerDay / config.partitions[by.slot.address.operator as OperatorName]);
    const logged = this.#world.oracle.truth(by.slot.name).loggedSince(Math.floor(by.clock.now() / DAY_MS) * DAY_MS);
    const { byName } = this.#world.oracle.truth(by.slot.name);
    const unheard = [...(this.#unheard.get(by) ?? [])].filter((name) => !byName.has(name)).length;
    const waiting = (this.#pending.get(by)?.events ?? 0) + unheard;
    const fresh = this.#fresh(by, slice);
    if (logged + waiting + fresh <= share)
      this.#fail(
        `${by.name} says that ${share} events are spent: ${logged} are logged, ${waiting} wait, ${fresh} are new`,
      );
  }

  /** Events of the request that its partition may not know. */
  #fresh({ slot }: Instance, { body }: AppendRequest): number {
    const truth = this.#world.oracle.truth(slot.name);
    const events = JSON.parse(`[${body}]`) as Record<string, unknown>[];
    return events.filter((event) => {
      const known = truth.byName.get(nameOf(event))?.at(-1);
      return known === undefined || !truth.remembers(known, truth.head + 1, truth.clock);
    }).length;
  }

  #outcome(
    truth: Truth,
    logged: Logged,
    status: number,
    detail: { readonly text: string | null } | undefined,
    known: number,
    wrong: (what: string) => void,
  ): void {
    const outcome = truth.outcome(logged);
    const tag = outcome?.tag ?? "a";
    // A quarantine is a pause: what became of it since is told as well.
    if (status >= DUPLICATE && tag === "q") {
      const { first, later } = truth.settlements.hears(logged, known);
      if (!first) this.#world.trace.count("duplicates of what was settled");
      if (later.some((came) => tells(truth, came, STATUS[status & ~DUPLICATE], detail)))
        return this.#world.trace.count("settled since");
      if (!first)
        return wrong(
          `told was ${detail?.text}, and the instance knew that it had come to ${JSON.stringify(later[0]!.outcome)}`,
        );
    }
    if (STATUS[status & ~DUPLICATE] !== tag) return wrong(`its first outcome was ${tag} (ONE1)`);
    if (detail === undefined) return;
    const told = outcomeFrom(detail.text);
    if (told === null) {
      const must = status < DUPLICATE || tag !== "a" || (logged.outcome !== null && truth.keepsReply(logged));
      if (must && outcome !== null) wrong(`its outcome ${outcome.tag} ${outcome.text} isn't told (ONE1)`);
      return;
    }
    if (logged.reply === null && tag === "a" && logged.outcome === null) return;
    if (told.tag !== tag || told.text !== outcome?.text)
      wrong(`its first outcome was ${outcome?.tag} ${outcome?.text}, told was ${told.tag} ${told.text} (ONE1)`);
  }
}

/** Is this what a command made of the event? The reply of a retry may be forgotten. */
function tells(
  truth: Truth,
  { command, outcome }: Came,
  tag: LoggedOutcome["tag"] | undefined,
  detail: { readonly text: string | null } | undefined,
): boolean {
  if (outcome.tag !== tag) return false;
  if (detail === undefined) return true;
  const heard = outcomeFrom(detail.text);
  if (heard !== null) return heard.text === outcome.text;
  return tag === "a" && (command.outcome === null || !truth.keepsReply(command));
}
