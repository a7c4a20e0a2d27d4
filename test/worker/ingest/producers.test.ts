/** ONE2 over HTTP: requests that their sender numbers. */
import { describe, expect, test } from "vitest";
import { add, get, postEvents, postLines, stateOf } from "../http.ts";

let made = 0;
const newProducer = (): string => `producer-${++made}`;
const numbered = (id: string, number: number, epoch = 1): Record<string, string> => ({
  "producer-id": id,
  "producer-epoch": String(epoch),
  "producer-seq": String(number),
});
/** Without ids: the numbers alone say what a retry is. */
const unnamed = (key: string, n = 1): Record<string, unknown> => ({ type: "tally.add", key, data: { n } });

describe("numbered requests", () => {
  test("ONE2: a retry counts once, in one body or as lines, over all partitions", async () => {
    const id = newProducer();
    const events = Array.from({ length: 40 }, (_, i) => unnamed(`${id}-${i}`));
    expect((await postEvents(events, numbered(id, 1))).body).toMatchObject({ accepted: 40, duplicates: 0 });
    const again = await postLines(events, numbered(id, 1));
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ accepted: 0, duplicates: 40, through: 40 });
    expect(await stateOf("tally", `${id}-7`)).toEqual({ n: 1, events: 1 });
    expect((await postEvents(events, numbered(id, 2))).body, "another request").toMatchObject({ accepted: 40 });
  });

  test("ONE2: a number that comes late counts, in any order of the window", async () => {
    const id = newProducer();
    for (const number of [5, 3, 4, 1, 5, 3])
      expect((await postEvents([unnamed(id)], numbered(id, number))).status).toBe(200);
    expect(await stateOf("tally", id)).toEqual({ n: 4, events: 4 });
  });

  test("ONE2: below the window it is refused by name, and counts as rejected", async () => {
    const id = newProducer();
    await postEvents([unnamed(id)], numbered(id, 2_000));
    const late = await postEvents([unnamed(id), add(id)], numbered(id, 976));
    expect(late.status).toBe(409);
    expect(late.body).toMatchObject({
      code: "producer_seq_too_old",
      detail: expect.stringMatching(/number 2000; 976 is below the last 1024/) as string,
      received: 2,
      accepted: 0,
      rejected: 2,
      through: 2,
      errors: [
        { index: 0, operator: "tally", code: "producer_seq_too_old" },
        { index: 1, operator: "tally" },
      ],
    });
    expect((await postEvents([unnamed(id)], numbered(id, 977))).status, "the last one inside").toBe(200);
  });

  test("ONE2: an older epoch is fenced, a newer one numbers from the beginning", async () => {
    const id = newProducer();
    await postEvents([unnamed(id)], numbered(id, 7, 1));
    expect((await postEvents([unnamed(id, 10)], numbered(id, 0, 2))).body).toMatchObject({ accepted: 1 });
    const zombie = await postEvents([unnamed(id, 100)], numbered(id, 8, 1));
    expect(zombie.status).toBe(403);
    expect(zombie.body).toMatchObject({ code: "producer_fenced", accepted: 0, rejected: 1 });
    expect(await stateOf("tally", id)).toEqual({ n: 11, events: 2 });
  });

  test("ONE2: 403 says that a partition refused, and the counts what the others did", async () => {
    const id = newProducer();
    const { body } = await postEvents([unnamed(`${id}-a`)], { ...numbered(id, 1, 5), prefer: "return=representation" });
    const [first] = body["results"] as { partition: number }[];
    const keys = Array.from({ length: 40 }, (_, i) => `${id}-${i}`);
    const mixed = await postEvents(
      keys.map((key) => unnamed(key)),
      { ...numbered(id, 1, 4), prefer: "return=representation" },
    );
    expect(mixed.status).toBe(403);
    const results = mixed.body["results"] as { partition: number; status: string }[];
    for (const { partition, status } of results)
      expect(status).toBe(partition === first!.partition ? "rejected" : "applied");
    const rejected = results.filter(({ status }) => status === "rejected").length;
    expect(mixed.body).toMatchObject({ received: 40, rejected, accepted: 40 - rejected });
    expect(rejected).toBeGreaterThan(0);
  });

  test("ONE2: where one of two operators doesn't take it, the answer names the other one", async () => {
    const id = newProducer();
    await postEvents([{ type: "left.noted", key: id, data: { text: "x" } }], numbered(id, 1, 5));
    const { status, body } = await postEvents(
      [{ type: "both.noted", key: id, data: { text: "y" } }],
      numbered(id, 1, 4),
    );
    expect(status).toBe(403);
    expect(body).toMatchObject({
      accepted: 0,
      rejected: 1,
      errors: [{ index: 0, operator: "left", code: "producer_fenced", acceptedBy: ["right"] }],
    });
    expect(await stateOf("right", id)).toEqual({ last: "y" });
  });

  test("the number makes the ids, whatever an Idempotency-Key says", async () => {
    const id = newProducer();
    for (const attempt of [1, 2])
      await postEvents([unnamed(id)], { ...numbered(id, 1), "idempotency-key": `attempt-${attempt}-${id}` });
    const state = await get(`/v1/operators/tally/state?key=${id}`);
    expect(state.body["value"]).toEqual({ n: 1, events: 1 });
    const named = { ...unnamed(id), id: `${id}/1/1/0` };
    expect((await postEvents([named])).body, "by its id").toMatchObject({ duplicates: 1 });
  });

  test("ONE2: what was rejected the first time counts once it is sound, in the same request", async () => {
    const id = newProducer();
    const request = (n: unknown) => [unnamed(id), { type: "tally.add", key: id, data: { n } }, unnamed(id, 10)];
    const first = await postEvents(request("no number"), numbered(id, 1));
    expect(first.body).toMatchObject({ accepted: 2, rejected: 1, errors: [{ index: 1, code: "invalid_data" }] });
    const again = await postEvents(request(100), numbered(id, 1));
    expect(again.body).toMatchObject({ accepted: 1, duplicates: 2, forgotten: 0 });
    expect((await postEvents(request(100), numbered(id, 1))).body).toMatchObject({ duplicates: 3, forgotten: 0 });
    expect(await stateOf("tally", id)).toEqual({ n: 111, events: 3 });
  });

  test("ONE2: beyond the ids' horizon the number alone decides, and the answer says so", async () => {
    const id = newProducer();
    const short = (n: unknown) => ({ type: "short.add", key: id, data: { n } });
    await postEvents([short(1), short("no number"), short(10)], numbered(id, 1));
    await postEvents([short(100), short(100), short(100)]);
    const again = await postEvents([short(1), short(5), short(10), short(1_000)], {
      ...numbered(id, 1),
      prefer: "return=representation",
    });
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ accepted: 1, duplicates: 3, forgotten: 3, rejected: 0, errors: [] });
    expect(again.body["results"]).toMatchObject([
      ...[0, 1, 2].map((index) => ({ index, status: "forgotten", duplicate: true, seq: null, value: null })),
      { index: 3, status: "applied", duplicate: false, seq: 6 },
    ]);
    expect(await stateOf("short-of-ids", id)).toEqual({ n: 1_311 });
  });
});
