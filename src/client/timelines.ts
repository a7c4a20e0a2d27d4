/** Timelines: lines of history that start at a moment of another one, and their promotion to main. */
import type { Answer, Call } from "./answer.ts";
import { decided, success, type Calling } from "./calling.ts";
import { KeyframeError } from "./keyframe-error.ts";
import { momentText, type MomentLike } from "./moment.ts";
import { promotionPath, replayPath, timelinePath, TIMELINES_PATH } from "./paths.ts";

export interface TimelineInfo {
  readonly name: string;
  /** The number of its line, which is never given again. */
  readonly line: number;
  readonly state: "main" | "sealed" | "making" | "ready" | "replaying" | "unstarted" | "removing";
  /**
   * The timeline that it starts from. Absent for the first one, as are the stamp and time of its start. An
   * unstarted one has no start until it is promoted.
   */
  readonly from?: string;
  readonly at?: number;
  readonly time?: string;
  /** Partitions for each one of the timeline that it starts from, by operator. */
  readonly split?: Readonly<Record<string, number>>;
  readonly created?: string;
  /** When it is removed. Absent if somebody must remove it. */
  readonly expires?: string;
  /** Why it is still there after it expired: timelines read it, or it has savepoints. */
  readonly keptFor?: {
    readonly timelines: readonly {
      readonly name: string;
      readonly partitions: number;
      /** One of them, as `operator/number`. */
      readonly first: string | null;
    }[];
    readonly savepoints: readonly string[];
  };
  /** Only of one that replays another one's log, when it is asked for by name. */
  readonly replay?: ReplayFacts;
}

/** How far a timeline has come that takes in another one's log with the code that is deployed. */
export interface ReplayFacts {
  /** The timeline whose log it replays. */
  readonly of: string;
  readonly outcomes: "logged" | "decide";
  /** Events that it hasn't taken in, as far as D1 tells. */
  readonly lag: number;
  /** Partitions that have more to take in. */
  readonly behind: number;
  /** Events whose outcome differs. */
  readonly changed: number;
  /** Why some partition takes in nothing now. */
  readonly trouble?: string;
}

export interface StartOptions {
  /** Default: main as it is now. `end`: where main ends when the timeline is promoted; needs `partitions`. */
  readonly from?: MomentLike;
  /** Numbers of partitions, by operator: a multiple of those that it has at that moment. */
  readonly partitions?: Readonly<Record<string, number>>;
  /** A time as `12h` or `7d`, which is the default. With null, the timeline stays until it is removed. */
  readonly expires?: string | null;
  /**
   * The timeline takes in main's log from there on, with the code that is deployed, and no events of its own. `logged`:
   * what was refused stays refused. `decide`: this code decides each event anew.
   */
  readonly replay?: "logged" | "decide";
}

/** Events that one timeline has and the other one doesn't. */
export interface Stretches {
  readonly events: number;
  /** The time of the last one. */
  readonly last?: string;
  /** The seqs of each partition, both included. */
  readonly partitions: readonly {
    readonly operator: string;
    readonly partition: number;
    readonly first: number;
    readonly last: number;
  }[];
}

/** The events that main would give up, and those that it would take instead. */
export interface GivingUp {
  readonly timeline: string;
  readonly mode: "give_up";
  /** The stamp up to which both have the same events. */
  readonly parted: number;
  readonly partedTime: string;
  readonly givesUp: Stretches;
  readonly takes: Stretches;
  /** Only of a preview: keys whose states differ, for each operator with events that only one of both has. */
  readonly keys?: readonly OperatorKeys[];
}

/** Of a timeline that replays main's log: no event is given up, but outcomes may change. */
export interface Following {
  readonly timeline: string;
  readonly mode: "follow";
  readonly outcomes: "logged" | "decide";
  /** Events that it hasn't taken in yet. The promotion takes them in. */
  readonly lag: number;
  /** Events whose outcome is another one on the timeline. */
  readonly changes: {
    readonly events: number;
    readonly partitions: readonly { readonly operator: string; readonly partition: number; readonly events: number }[];
  };
  /** Only of a preview: keys whose states differ, for each operator with events that the timeline replayed. */
  readonly keys?: readonly OperatorKeys[];
}

/** Of a timeline with other partitions that starts where main ends: no event is given up, and no outcome changes. */
export interface Rescaling {
  readonly timeline: string;
  readonly mode: "rescale";
  /** Numbers of partitions, by operator. */
  readonly partitions: Readonly<Record<string, { readonly from: number; readonly to: number }>>;
}

export type PromotionFacts = GivingUp | Following | Rescaling;

/** The keys of an operator that change. */
export interface OperatorKeys {
  readonly operator: string;
  readonly count?: number;
  /** In the place of `count` if there may be more. */
  readonly atLeast?: number;
  /** The first of them. */
  readonly first: readonly string[];
  /** Why a partition could not be compared. */
  readonly flaw?: string;
}

export type PromotionPreview = PromotionFacts & {
  /** Stands for this preview in `promote`. */
  readonly etag: string;
};

export type PromotionDone = PromotionFacts & {
  readonly promoted: true;
  /** How often main was switched. */
  readonly switches: number;
  /** The name of what was main. */
  readonly former: string;
};

export class TimelinesClient {
  readonly #calling: Calling;

  /** `calling` names no timeline. */
  constructor(calling: Calling) {
    this.#calling = calling;
  }

  /**
   * Starts a timeline, which `kf.timeline(name)` uses. The same call again changes nothing.
   *
   * @throws KeyframeError `timeline_exists` if the name stands for one that starts elsewhere; `moment_gone`,
   *   `not_settled`, `no_savepoint`, `no_timeline`, `too_many_timelines`
   */
  async start(name: string, { from, partitions, expires, replay }: StartOptions = {}): Promise<TimelineInfo> {
    const body = JSON.stringify({ from: from === undefined ? from : momentText(from), partitions, expires, replay });
    return success(await this.#call("PUT", timelinePath(name), body)) as TimelineInfo;
  }

  /** Returns all timelines, main and former mains included, in the order in which they were made. */
  async list(): Promise<readonly TimelineInfo[]> {
    return success(await this.#call("GET", TIMELINES_PATH)) as readonly TimelineInfo[];
  }

  /** Resolves with null if there is none of that name. */
  async get(name: string): Promise<TimelineInfo | null> {
    const answer = await this.#call("GET", timelinePath(name));
    if (answer.tag === "problem" && answer.code === "no_timeline") return null;
    return success(answer) as TimelineInfo;
  }

  /**
   * Lets a timeline that replays take in more, for about ten seconds. The cron does the same each minute. Call it until
   * `replay.behind` is 0.
   */
  async advance(name: string): Promise<TimelineInfo> {
    return success(await this.#call("POST", replayPath(name))) as TimelineInfo;
  }

  /**
   * Removes a timeline with all that was logged on it. Removing one that isn't there changes nothing.
   *
   * @throws KeyframeError `timeline_in_use` if it is main, or if others start from it
   */
  async remove(name: string): Promise<void> {
    for (let requests = 0; requests < MOST_REMOVALS; requests++) {
      const { removed } = success(await this.#call("DELETE", timelinePath(name))) as { readonly removed: boolean };
      if (removed) return;
    }
    throw new KeyframeError(
      "gave_up",
      `timeline "${name}" isn't gone after ${MOST_REMOVALS} requests: remove it again`,
    );
  }

  /** Returns what main would give up, or which outcomes would change, if the timeline became main. Nothing is changed. */
  async promotion(name: string): Promise<PromotionPreview> {
    const answer = await this.#call("GET", promotionPath(name));
    const preview = success(answer) as PromotionFacts;
    if (answer.tag === "good" && answer.etag !== null) return { ...preview, etag: answer.etag };
    throw new KeyframeError("unexpected_answer", "the preview has no ETag", { status: answer.status });
  }

  /**
   * Makes the timeline main, if what main gives up is still what the preview lists. `*` accepts whatever it is.
   *
   * @throws KeyframeError `promotion_moved` if more would be given up; `promotion_busy`, `timeline_is_main`,
   *   `timeline_sealed`, `timeline_unrelated`, `no_timeline`
   */
  async promote(name: string, etag: string): Promise<PromotionDone> {
    const call: Call = { method: "POST", path: promotionPath(name), headers: { "if-match": etag } };
    return success((await decided(this.#calling, call, [])).answer) as PromotionDone;
  }

  /** Aborts a promotion that is under way, or finishes it if main was switched already. */
  async abort(name: string): Promise<void> {
    success(await this.#call("DELETE", promotionPath(name)));
  }

  async #call(method: Call["method"], path: string, body?: string): Promise<Answer> {
    const sent = body === undefined ? {} : { headers: { "content-type": "application/json" }, body };
    return (await decided(this.#calling, { method, path, ...sent }, [])).answer;
  }
}

/** Each request deletes up to 20,000 objects. */
const MOST_REMOVALS = 1_000;
