/** The question of yes or no: what counts as a yes, and that nothing keeps the process waiting afterwards. */
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { confirmed } from "../../src/cli/confirm.ts";

it.each([
  ["y\n", true],
  ["YES \n", true],
  ["n\n", false],
  ["\n", false],
  ["yesterday\n", false],
  ["", false],
])("%j: %s", async (typed, yes) => {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const answer = confirmed("go? [y/N] ", input, output);
  input.write(typed);
  if (typed === "") input.end();
  expect(await answer).toBe(yes);
  expect(input.isPaused()).toBe(true);
  output.end();
  expect(await text(output)).toBe("go? [y/N] ");
});
