/** Savepoints: named moments of all operators, which retention keeps until they are removed. */
import type { Answer, Call } from "./answer.ts";
import { decided, success, type Calling } from "./calling.ts";
import { momentText, type MomentLike } from "./moment.ts";
import { SAVEPOINTS_PATH, savepointPath } from "./paths.ts";

export interface SavepointInfo {
  readonly name: string;
  /** The stamp that the name stands for. */
  readonly at: number;
  /** The same as RFC 3339. */
  readonly time: string;
  /** When it was saved. */
  readonly created: string;
  /** True if R2 alone can give it back. If not, `unarchived` partitions have yet to take a snapshot. */
  readonly restorable: boolean;
  readonly unarchived?: number;
}

export class SavepointsClient {
  readonly #calling: Calling;

  constructor(calling: Calling) {
    this.#calling = calling;
  }

  /**
   * Saves a moment under a name. Without a moment, now: everything that was acknowledged before is in it. A name that is
   * there keeps its moment, so the same call again changes nothing.
   *
   * @throws KeyframeError `savepoint_exists` if the name stands for another moment than the given one; `moment_gone`,
   *   `not_settled`, `too_many_savepoints`
   */
  async save(name: string, moment?: MomentLike): Promise<SavepointInfo> {
    const body = JSON.stringify(moment === undefined ? {} : { at: momentText(moment) });
    return success(await this.#call("PUT", savepointPath(name), body)) as SavepointInfo;
  }

  /** Returns all savepoints, by name. */
  async list(): Promise<readonly SavepointInfo[]> {
    return success(await this.#call("GET", SAVEPOINTS_PATH)) as readonly SavepointInfo[];
  }

  /** Resolves with null if there is none of that name. */
  async get(name: string): Promise<SavepointInfo | null> {
    const answer = await this.#call("GET", savepointPath(name));
    if (answer.tag === "problem" && answer.code === "no_savepoint") return null;
    return success(answer) as SavepointInfo;
  }

  /** Removes a savepoint. Removing one that isn't there changes nothing. */
  async remove(name: string): Promise<void> {
    success(await this.#call("DELETE", savepointPath(name)));
  }

  async #call(method: Call["method"], path: string, body?: string): Promise<Answer> {
    const sent = body === undefined ? {} : { headers: { "content-type": "application/json" }, body };
    return (await decided(this.#calling, { method, path, ...sent }, [])).answer;
  }
}
