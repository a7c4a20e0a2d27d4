/**
 * The client, for Node, browsers and Workers: sends events so that each counts once, asks operators, reads their state
 * as it is or was.
 *
 * CLIENT1. The client needs fetch, crypto.randomUUID and timers, CompressionStream for `gzip`, and nothing of the
 *     engine at run time.
 * CLIENT2. The client retries a failure that may pass, with the same ids. Any other outcome is a fate, an answer or a
 *     KeyframeError.
 *
 * @example
 * const kf = client({ url: "https://credits.example.com", token });
 * await kf.send({ type: "credits.bought", data: { account: "ada", n: 5 } });
 * const taken = await kf.operator<typeof credits>("credits").ask("credits.take", { account: "ada", n: 1 });
 * if (taken.tag === "refused") console.log(taken.code, taken.detail.left);
 */
import { type ClientClock, systemClock } from "./clock.ts";
import { diffEntries, type DiffEnd, type DiffEntry, type DiffOptions } from "./diff.ts";
import type { Fate } from "./keyframe-error.ts";
import { type Fetch, Http } from "./http.ts";
import { KeyframeError } from "./keyframe-error.ts";
import { momentOn, PinnedMoment, type AboutMoment, type MomentLike } from "./moment.ts";
import { OperatorClient, type AskOptions } from "./operator-client.ts";
import { OperatorReads } from "./operator-reads.ts";
import type { AnyOperator, AskResult, DataOf, EventType } from "./operator-types.ts";
import type { StateOf } from "../engine/operator/operator-types.ts";
import { outgoing, type OutgoingEvent } from "./outgoing.ts";
import { Patience } from "./patience.ts";
import { SavepointsClient } from "./savepoints.ts";
import { Sender } from "./sender.ts";
import { TimelinesClient } from "./timelines.ts";

export { KeyframeError, type Problem, type Undecided } from "./keyframe-error.ts";
export type { ClientClock } from "./clock.ts";
export type { Blamed, BlamedEvent, BlameOptions } from "./blame.ts";
export type { ChangeEntry, ChangesBatch, ChangesOptions } from "./changes.ts";
export type { DiffEnd, DiffEntry, DiffOptions } from "./diff.ts";
export type { Fate } from "./keyframe-error.ts";
export type { HistoryEnd, HistoryEntry, HistoryOptions } from "./history.ts";
export type { Fetch, FetchInit } from "./http.ts";
export type { AboutMoment, MomentLike } from "./moment.ts";
export type { AskOptions, OperatorClient } from "./operator-client.ts";
export type { Entry, Item, OperatorReads, ScanOptions, TimedEntry, TimersOfKey } from "./operator-reads.ts";
export type { AnyOperator, AskResult, DataOf, EventType } from "./operator-types.ts";
export type { StateOf } from "../engine/operator/operator-types.ts";
export type { OutgoingEvent } from "./outgoing.ts";
export type { SavepointInfo, SavepointsClient } from "./savepoints.ts";
export type {
  Following,
  GivingUp,
  PromotionDone,
  PromotionFacts,
  PromotionPreview,
  StartOptions,
  ReplayFacts,
  Stretches,
  TimelineInfo,
  TimelinesClient,
} from "./timelines.ts";
export type { Watched, WatchOptions } from "./watch.ts";

export interface ClientOptions {
  /** The app's address, without `/v1`. */
  readonly url: string;
  readonly token?: string;
  /** The timeline of all calls. Default: main, whichever line that is. */
  readonly timeline?: string;
  /**
   * A batch leaves when it is this large, or when its first event waited `lingerMs`. Default 500 events, 500,000 bytes,
   * 5 ms.
   */
  readonly batch?: { readonly events?: number; readonly bytes?: number; readonly lingerMs?: number };
  /** The undecided events from which on `ready()` waits. Default 10,000 events, 16,000,000 bytes. */
  readonly buffer?: { readonly events?: number; readonly bytes?: number };
  /** Batches under way at a time. Default 1. With more, events of one key may overtake each other. */
  readonly inFlight?: number;
  /** Compresses batches with gzip. Default false. */
  readonly gzip?: boolean;
  /**
   * Default: pauses of up to 200 ms, doubling up to 30 s; 60 s for an attempt; `gave_up` after 5 minutes without
   * progress.
   */
  readonly retry?: {
    readonly firstMs?: number;
    readonly mostMs?: number;
    readonly attemptMs?: number;
    readonly overallMs?: number;
  };
  /**
   * Numbers the batches of `send`, so that duplicates are known without a horizon. `id` names the sender.
   * Each client of that `id` needs a higher `epoch`, or a `seq` after the last one used: a reused number marks a batch
   * as a duplicate.
   */
  readonly producer?: { readonly id: string; readonly epoch: number; readonly seq?: number };
  /**
   * Stamps each event above this stamp, and above those of the client's answers so far: a moment that holds an event
   * holds what its sender had heard of. 0 begins with the first answer. Default: the partitions' clocks decide.
   */
  readonly after?: number;
  readonly fetch?: Fetch;
  readonly clock?: ClientClock;
  /** Returns a number from 0 up to, but not including, 1. */
  readonly random?: () => number;
  readonly uuid?: () => string;
}

export interface Client {
  /**
   * The highest stamp that an answer about events has named, or `after` if that is higher. 0 before. Another client takes
   * it as `after`.
   */
  readonly stamp: number;
  /**
   * Takes one event or several, all or none, and resolves with the fate of each when all are decided.
   * Events stay in order if one batch is under way at a time. An event without an id gets one, once.
   *
   * @throws (rejects) KeyframeError if an event isn't decided, once each event of the call is decided or has failed.
   *   `fates` says what became of each, and `ids` names the events that may count.
   */
  send(event: OutgoingEvent): Promise<Fate>;
  send(events: readonly OutgoingEvent[]): Promise<Fate[]>;
  /** Resolves when the buffer has room. A sender that doesn't await each fate awaits this. */
  ready(): Promise<void>;
  /** Sends all waiting events at once, and resolves when every event sent so far is decided or has failed. */
  flush(): Promise<void>;
  /** Refuses further events, and flushes. */
  close(): Promise<void>;
  /** An operator by type alone, `operator<typeof credits>("credits")`, or by value if its code is at hand. */
  operator<Op extends AnyOperator>(operator: Op["name"] | Op): OperatorClient<Op>;
  ask<Op extends AnyOperator, T extends EventType<Op>>(
    operator: Op,
    type: T,
    data: DataOf<Op, T>,
    options?: AskOptions,
  ): Promise<AskResult<Op, T>>;
  /**
   * The past, for reading: `kf.at("-90m").operator(usage).get("ada")`. A moment may name its timeline: `fix@now`.
   * @throws KeyframeError `invalid_options`
   */
  at(moment: MomentLike): PastClient;
  /**
   * The same client on a timeline, with batches of its own: `kf.timeline("fix").send(…)`. They aren't numbered, since
   * the timeline knows the numbers of before its start: for a producer make a client with `timeline` and a higher epoch.
   */
  timeline(name: string): Client;
  /**
   * Yields each key whose state differs between two moments: `kf.diff({ from: "-1h", operator: usage })`. The return
   * value names the stamps that the moments meant.
   *
   * @throws KeyframeError if the answer breaks off, and after all other keys if states can't be migrated
   */
  diff<Op extends AnyOperator>(
    options: DiffOptions & { readonly operator: Op["name"] | Op },
  ): AsyncGenerator<DiffEntry<StateOf<Op>>, DiffEnd>;
  /** Of all operators. */
  diff(options: DiffOptions): AsyncGenerator<DiffEntry<unknown>, DiffEnd>;
  /** Named moments: `await kf.savepoints.save("month-end")`, then `kf.at("month-end")`. */
  readonly savepoints: SavepointsClient;
  /** Lines of history: `await kf.timelines.start("fix", { from: "-90m" })`, then `kf.timeline("fix")`. */
  readonly timelines: TimelinesClient;
}

/** All operators as they were at one moment. The first answer turns the moment into a stamp, for all reads. */
export interface PastClient {
  /** Null before the first answer. */
  readonly stamp: number | null;
  operator<Op extends AnyOperator>(operator: Op["name"] | Op): PastOperatorClient<Op>;
}

/** An operator as it was. Its entries name their stamp. */
export type PastOperatorClient<Op extends AnyOperator> = OperatorReads<Op, AboutMoment>;

/** @throws KeyframeError `invalid_options` */
export function client(options: ClientOptions): Client {
  const { clock = systemClock, random = Math.random, uuid = () => crypto.randomUUID() } = options;
  const retry = { firstMs: 200, mostMs: 30_000, attemptMs: 60_000, overallMs: 300_000, ...options.retry };
  const http = new Http({
    url: options.url,
    token: options.token ?? null,
    // Browsers throw if fetch is called as a member of another object.
    fetch: options.fetch ?? ((url, init) => fetch(url, init)),
    clock,
    attemptMs: retry.attemptMs,
    timeline: options.timeline ?? null,
    after: options.after ?? null,
  });
  const patience = (): Patience => new Patience(clock, random, retry);
  const sender = new Sender({
    http,
    clock,
    patience,
    gzip: options.gzip ?? false,
    inFlight: options.inFlight ?? 1,
    batch: { events: 500, bytes: 500_000, lingerMs: 5, ...options.batch },
    buffer: { events: 10_000, bytes: 16_000_000, ...options.buffer },
    producer: options.producer === undefined ? null : { seq: 0, ...options.producer },
  });
  check(options);

  function send(event: OutgoingEvent): Promise<Fate>;
  function send(events: readonly OutgoingEvent[]): Promise<Fate[]>;
  function send(given: OutgoingEvent | readonly OutgoingEvent[]): Promise<Fate | Fate[]> {
    const many = Array.isArray(given);
    const events = (many ? given : [given]) as readonly OutgoingEvent[];
    try {
      const fates = sender.send(events.map((event) => outgoing(event, uuid)));
      return many ? fates : fates.then(([fate]) => fate!);
    } catch (error) {
      return Promise.reject(error);
    }
  }
  const calling = { http, patience, uuid };
  const operator = <Op extends AnyOperator>(given: Op["name"] | Op): OperatorClient<Op> =>
    new OperatorClient<Op>(nameOf(given), calling);
  const at = (given: MomentLike): PastClient => {
    const { timeline, when } = momentOn(given);
    if (timeline !== null && timeline !== (options.timeline ?? timeline))
      throw new KeyframeError(
        "invalid_options",
        `the moment is of timeline "${timeline}", and the client of "${options.timeline}"`,
      );
    const moment = new PinnedMoment(when);
    const asking = timeline === null ? calling : { ...calling, http: http.on(timeline) };
    return {
      get stamp() {
        return moment.stamp;
      },
      operator: <Op extends AnyOperator>(of: Op["name"] | Op) =>
        new OperatorReads<Op, AboutMoment>(nameOf(of), asking, moment),
    };
  };

  return {
    get stamp() {
      return http.heard;
    },
    send,
    ready: () => sender.ready(),
    flush: () => sender.flush(),
    close: () => sender.close(),
    operator,
    ask: (of, type, data, how) => operator(of).ask(type, data, how),
    at,
    timeline: (name) => {
      const { producer: _, ...others } = options;
      return client({ ...others, timeline: name });
    },
    diff: <Op extends AnyOperator>(asked: DiffOptions & { readonly operator?: Op["name"] | Op }) =>
      diffEntries<StateOf<Op>>(calling, asked, asked.operator === undefined ? null : nameOf<Op>(asked.operator)),
    savepoints: new SavepointsClient(calling),
    timelines: new TimelinesClient({ ...calling, http: http.on(null) }),
  };
}

const nameOf = <Op extends AnyOperator>(operator: Op["name"] | Op): Op["name"] =>
  typeof operator === "string" ? operator : operator.name;

/** The app lists the results of at most 1,000 events. */
const MOST_EVENTS = 1_000;

function check({ token, batch, buffer, inFlight = 1, producer, after, retry }: ClientOptions): void {
  const fail = (what: string): never => {
    throw new KeyframeError("invalid_options", what);
  };
  const within = (value: number | undefined, what: string, least: number, most = Number.MAX_SAFE_INTEGER): void => {
    if (value !== undefined && !(value >= least && value <= most))
      fail(`${what} must be from ${least} to ${most}, not ${value}`);
  };
  // Without this check each attempt would fail, with the token in the message.
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    fail("a token has no spaces, line ends or characters beyond ASCII, and isn't empty");
  within(batch?.events, "batch.events", 1, MOST_EVENTS);
  within(batch?.bytes, "batch.bytes", 1);
  within(batch?.lingerMs, "batch.lingerMs", 0);
  within(buffer?.events, "buffer.events", 1);
  within(buffer?.bytes, "buffer.bytes", 1);
  within(inFlight, "inFlight", 1, 64);
  if (after !== undefined && !Number.isSafeInteger(after)) fail(`after must be a stamp, not ${after}`);
  within(after, "after", 0);
  for (const name of ["firstMs", "mostMs", "attemptMs", "overallMs"] as const)
    within(retry?.[name], `retry.${name}`, 1);
  if (producer === undefined) return;
  within(producer.epoch, "producer.epoch", 0);
  within(producer.seq, "producer.seq", 0);
  if (producer.id === "") fail("producer.id must not be empty");
  // A numbered batch leaves after the one before it was answered (ONE2).
  if (inFlight !== 1) fail("numbered batches go one after the other: omit inFlight");
}
