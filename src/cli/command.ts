/**
 * Defines a command: a function that adds itself to the program, and an action that ends with an exit status.
 *
 * COMMAND1. 0: done, and the answer is yes. 1: done, and the answer is no (different, corrupt, refused, not there). 2:
 *     not done, because of wrong usage, no answer, or a file that can't be read.
 */
import type { Command } from "commander";
import type { Screen } from "./screen.ts";

export const YES = 0;
export const NO = 1;
export const TROUBLE = 2;
export type Status = typeof YES | typeof NO | typeof TROUBLE;

/** A command's access to the world besides files and the network. */
export interface Cli {
  readonly screen: Screen;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: () => Promise<string>;
  /** Asks the person a question of yes or no. Null if nobody can answer. */
  readonly confirm: ((question: string) => Promise<boolean>) | null;
}

/** The command couldn't be done. The message says why, and what to do. */
export class CommandError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "Trouble";
  }
}

/** The command was done, and the answer is no. The message says why. */
export class No extends CommandError {}

/** Adds one command. `done` takes the status that its action ends with. */
export type AddCommand = (program: Command, cli: Cli, done: (status: Status) => void) => void;

/** The part of a help page that shows example calls. */
export const examples = (...lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;

/** A whole number from the command line. */
export function wholeNumber(text: string, what: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new CommandError(`${what} must be a whole number, not ${JSON.stringify(text)}`);
  return Number(text);
}
