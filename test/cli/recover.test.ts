/** `recover --to`: which operators it asks for, how often, and what it saves again. */
import { describe, expect, it } from "vitest";
import { against } from "./scripted-server.ts";

const TO = 1_838_629_852_437_504;
const time = "2026-11-24T16:16:05.271Z";
const of = (operator: string, statuses: readonly string[], complete = true) => ({
  body: {
    operator,
    to: TO,
    time,
    changed: true,
    complete,
    items: statuses.map((status, partition) => ({ partition, status })),
  },
});
const SAVED = { name: "month-end", at: TO, time, created: time, restorable: true };
const OPERATORS = {
  body: ["usage", "credits"].map((name) => ({
    name,
    version: 1,
    events: [],
    partitions: null,
    lost: "catalogue_lost",
  })),
};

describe("recover --to", () => {
  it("brings all operators to the moment, and saves it again under its name", async () => {
    const ran = await against(
      [OPERATORS, of("usage", ["recovered"]), of("credits", ["recovered"]), { status: 201, body: SAVED }],
      ..."recover --from-r2 --to month-end".split(" "),
    );
    expect(ran.status).toBe(0);
    expect(ran.heard.map(({ line, body }) => `${line} ${body}`)).toEqual([
      "GET /v1/operators ",
      'POST /v1/operators/usage/recover {"to":"month-end"}',
      'POST /v1/operators/credits/recover {"to":"month-end"}',
      `PUT /v1/savepoints/month-end {"at":${TO}}`,
    ]);
    expect(ran.err).toContain("month-end is there again");
  });

  it("asks again for partitions that are left, as long as some come back", async () => {
    const ran = await against(
      [
        of("usage", ["recovered", "later", "later"], false),
        of("usage", ["kept", "recovered", "later"], false),
        of("usage", ["kept", "kept", "later"], false),
      ],
      ...`recover usage --to ${TO} --json`.split(" "),
    );
    expect(ran.status).toBe(1);
    expect(ran.heard.length).toBe(3);
    const { items } = JSON.parse(ran.out[0]!) as { items: { status: string }[] };
    expect(items.map(({ status }) => status)).toEqual(["recovered", "recovered", "later"]);
  });

  it("saves nothing again if something is missing, or if one operator alone came back", async () => {
    const missing = await against(
      [OPERATORS, of("usage", ["short"], false), of("credits", ["recovered"])],
      ..."recover --to month-end".split(" "),
    );
    expect([missing.status, missing.heard.length]).toEqual([1, 3]);
    const one = await against([of("usage", ["recovered"])], ..."recover usage --to month-end --incomplete".split(" "));
    expect([one.status, one.heard.map(({ body }) => body)]).toEqual([0, ['{"to":"month-end","incomplete":true}']]);
  });

  it.each([
    [409, "not_empty", 1],
    [409, "savepoint_unclear", 1],
    [404, "no_savepoint", 1],
    [400, "invalid_moment", 2],
  ])("%i %s ends with %3$i, and says why", async (status, code, ends) => {
    const ran = await against([{ status, body: { code, detail: "the reason" } }], ..."recover usage --to x".split(" "));
    expect([ran.status, ran.err]).toEqual([ends, expect.stringContaining("the reason")]);
  });

  it("needs an operator or a moment", async () => {
    const ran = await against([], "recover");
    expect([ran.status, ran.err]).toEqual([2, expect.stringContaining("name an operator")]);
  });
});
