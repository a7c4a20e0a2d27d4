/**
 * `--at MOMENT`: reads the past instead of the present (docs/reference/api.md, "Moments"), of main or of `--timeline`.
 *
 * AT1. The stamp that was read goes to standard error, so that the same can be read again. A command that sends several
 *     requests asks for the first answer's stamp in all others.
 * AT2. Exit status 1 if the moment is ahead of the databases' clocks, or if retention has given it up: the answer is no.
 */
import type { Command } from "commander";
import { isWhole } from "../engine/base/json.ts";
import { stampTime } from "../engine/base/hybrid-clock.ts";
import { stamp } from "../engine/base/ids.ts";
import { MOMENT_FORMS } from "../engine/history/moment.ts";
import { timelineOption } from "./app.ts";
import { CommandError } from "./command.ts";
import type { Screen } from "./screen.ts";

export interface AtOption {
  readonly at?: string;
}

export const atOption = (command: Command): Command =>
  timelineOption(command).option("--at <moment>", `as of ${MOMENT_FORMS}; without it, the present`);

/** The members of an answer about a moment. */
export interface MomentMembers {
  readonly at?: number;
  readonly exact?: false;
}

/** The moment of a command, which the first answer turns into a stamp. */
export class AskedMoment {
  readonly #screen: Screen;
  readonly #given: string | undefined;
  #stamp: number | null = null;
  #inexact = false;

  constructor({ at }: AtOption, screen: Screen) {
    this.#given = at;
    this.#screen = screen;
  }

  /** The parameter for the next request. */
  get query(): { readonly at?: string } {
    if (this.#given === undefined) return {};
    return { at: this.#stamp === null ? this.#given : String(this.#stamp) };
  }

  /**
   * Takes the stamp of an answer, says it once, and returns the members that a line of JSON shows.
   * @throws Trouble if the moment was asked for and the answer names no stamp
   */
  heard({ at, exact }: MomentMembers): MomentMembers {
    if (this.#given === undefined) return {};
    // An app that doesn't know moments answers for the present.
    if (!isWhole(at))
      throw new CommandError("the answer names no stamp, so it may be about the present: update the app");
    if (this.#stamp === null) this.#screen.say(`as of stamp ${at}, ${stampTime(stamp(at))}`);
    this.#stamp ??= at;
    if (exact === false && !this.#inexact) this.#screen.say(INEXACT);
    this.#inexact ||= exact === false;
    return { at, ...(exact === false ? { exact } : {}) };
  }
}

export const INEXACT =
  "another version of the operator applied events up to then; this is what the present version makes of them";
