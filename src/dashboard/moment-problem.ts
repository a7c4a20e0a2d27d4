/** Problems of a moment, in words. */
import { ApiError, errorText } from "./api.ts";
import { clock } from "./text.ts";

/** Returns the reason why a moment can't be shown, in words. */
export function momentProblem(error: unknown): string {
  if (!(error instanceof ApiError)) return errorText(error);
  const words = WORDS[error.code]?.(error);
  return words === undefined ? errorText(error) : `${words} (${error.code})`;
}

const WORDS: Readonly<Record<string, (error: ApiError) => string>> = {
  moment_gone: ({ members: { oldestTime } }) =>
    `Retention has given up this moment.${typeof oldestTime === "string" ? ` The oldest that can be read is ${clock(oldestTime)}.` : ""}`,
  not_settled: () => "This moment is in the future, or so recent that more may be logged before it. Ask for it later.",
  invalid_moment: () =>
    "This is no moment. Write a time as 2026-01-31T12:00:00Z, a time ago as -90m, a stamp, a savepoint's name, or now.",
  no_savepoint: () => "There is no savepoint of this name.",
  no_timeline: () => "There is no timeline of this name.",
};
