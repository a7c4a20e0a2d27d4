/** Each operator gives the rows of its fold, however the events are delivered, and is deterministic. */
import { expect, test } from "vitest";
import { folds } from "../../examples/nexmark/folds.ts";
import { NexmarkGenerator, type GeneratorOptions } from "../../examples/nexmark/generator.ts";
import { queries } from "../../examples/nexmark/queries.ts";
import type { Query } from "../../examples/nexmark/query.ts";
import { linesOf } from "../../examples/nexmark/result.ts";
import { deterministic, given, type Step } from "../../src/testkit/testkit.ts";
import type { Operator } from "../../src/engine/operator/operator.ts";

const EVENTS = 2_000;
const DELIVERIES: Record<string, Partial<GeneratorOptions>> = {
  "in order": {},
  "out of order with duplicates": { outOfOrderMs: 2_000, delayProb: 0.5, duplicateProb: 0.2 },
};

/** The events that the operator wants, as they arrive. */
function arriving({ result }: Query, options: Partial<GeneratorOptions>): Step<Operator>[] {
  const generator = new NexmarkGenerator({ events: EVENTS, ...options });
  const events = generator.arrivals().map((number) => generator.event(number));
  return events.filter(({ type }) => result.handlers.has(type));
}

const cases = queries.flatMap((query) =>
  Object.entries(DELIVERIES).map(([how, options]) => ({ name: query.result.name, how, query, options })),
);

test.each(cases)("$name has the rows of its fold, $how", async ({ query, options }) => {
  const states = await given(query.result, arriving(query, options)).states();
  const rows = Object.entries(states).flatMap(([key, state]) => query.rows(state, key));
  const expected = linesOf(folds[query.number]!(new NexmarkGenerator({ events: EVENTS }).events()));
  expect(expected.length).toBeGreaterThan(2);
  expect(linesOf(rows)).toEqual(expected);
});

// The kit runs all events once for each of them, so these are few.
test.each(queries.map((query) => ({ name: query.result.name, query })))("$name is deterministic", ({ query }) =>
  deterministic(query.result, arriving(query, { outOfOrderMs: 50, delayProb: 0.5, duplicateProb: 0.2 }).slice(0, 40)),
);

test("every fold has its query", () => {
  expect(Object.keys(folds).map(Number)).toEqual(queries.map(({ number }) => number));
});
