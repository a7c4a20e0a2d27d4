/** `PUT` and `DELETE` of a state: on a condition, once, and for good. */
import { describe, expect, test } from "vitest";
import { add, call, get, postEvents, stateOf, type Answer } from "../http.ts";

const at = (key: string): string => `/v1/operators/tally/state?key=${encodeURIComponent(key)}`;
const edit = (method: string, key: string, headers: Record<string, string>, body?: string): Promise<Answer> =>
  call(at(key), { method, headers: { "content-type": "application/json", ...headers }, body: body ?? null });
const put = (key: string, state: unknown, headers: Record<string, string>): Promise<Answer> =>
  edit("PUT", key, headers, JSON.stringify(state));
const remove = (key: string, headers: Record<string, string>): Promise<Answer> => edit("DELETE", key, headers);
const etag = async (key: string): Promise<string> => (await get(at(key))).headers.get("etag")!;
const said = ({ status, body }: Answer): unknown[] => [status, body["code"] ?? null];
const evict = async (partition: unknown): Promise<void> => {
  await call(`/v1/operators/tally/partitions/${String(partition)}/evict`, { method: "POST" });
};

describe("PUT", () => {
  test("replaces what was read, and says how to go on", async () => {
    await postEvents(add("put", 5));
    const { status, body } = await put("put", { n: 70, events: 1 }, { "if-match": await etag("put") });
    expect(status).toBe(200);
    expect(body).toEqual({
      operator: "tally",
      key: "put",
      partition: expect.any(Number),
      seq: expect.any(Number),
      duplicate: false,
      etag: await etag("put"),
    });
    await postEvents(add("put", 1));
    expect(await stateOf("tally", "put")).toEqual({ n: 71, events: 2 });
    await evict(body["partition"]);
    expect(await stateOf("tally", "put")).toEqual({ n: 71, events: 2 });
  });

  test("412 where somebody was faster, and nothing happens", async () => {
    await postEvents(add("late", 5));
    const seen = await etag("late");
    await postEvents(add("late", 1));
    expect(said(await put("late", { n: 0, events: 0 }, { "if-match": seen }))).toEqual([412, "precondition_failed"]);
    expect(await stateOf("tally", "late")).toEqual({ n: 6, events: 2 });
  });

  test("of ten at once with one ETag one counts", async () => {
    await postEvents(add("ten", 5));
    const seen = await etag("ten");
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => put("ten", { n, events: 0 }, { "if-match": seen })),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 412)).toHaveLength(9);
    const winner = answers.findIndex(({ status }) => status === 200);
    expect(await stateOf("tally", "ten")).toEqual({ n: winner, events: 0 });
  });

  test.each([
    ["If-Match: *", { "if-match": "*" }, 200, 412],
    ["If-None-Match: *", { "if-none-match": "*" }, 412, 200],
    ["If-Match: an ETag of nothing", { "if-match": '"0-1-abc"' }, 412, 412],
    ["If-Match: an ETag that no state has", { "if-match": '"anything", W/"0-1-a"' }, 412, 412],
  ])("%s", async (name, headers, there, absent) => {
    const key = `conditional ${name}`;
    await postEvents(add(key));
    expect((await put(key, { n: 1, events: 1 }, headers)).status).toBe(there);
    expect((await put(`${key} new`, { n: 1, events: 1 }, headers)).status).toBe(absent);
  });

  test("one of several ETags does, a weak one never", async () => {
    await postEvents(add("several"));
    const seen = await etag("several");
    expect((await put("several", { n: 1, events: 1 }, { "if-match": `W/${seen}` })).status).toBe(412);
    expect((await put("several", { n: 1, events: 1 }, { "if-match": `"x,y" , ${seen}` })).status).toBe(200);
  });

  test("with an Idempotency-Key a retry hears the first answer, whatever came in between", async () => {
    await postEvents(add("again"));
    const headers = { "if-match": await etag("again"), "idempotency-key": "edit-again" };
    const first = await put("again", { n: 9, events: 9 }, headers);
    await postEvents(add("again"));
    const second = await put("again", { n: 9, events: 9 }, headers);
    expect(second.body).toMatchObject({ seq: first.body["seq"], duplicate: true });
    expect(await stateOf("tally", "again")).toEqual({ n: 10, events: 10 });
    expect(said(await put("again", { n: 8, events: 9 }, headers))).toEqual([409, "id_reused"]);
  });

  test("ONE4: the same edit of another key, with the same Idempotency-Key, is no duplicate of it", async () => {
    await postEvents([add("twin-a"), add("twin-b")]);
    const headers = { "if-match": "*", "idempotency-key": "edit-twins" };
    expect((await put("twin-a", { n: 5, events: 5 }, headers)).status).toBe(200);
    const other = await put("twin-b", { n: 5, events: 5 }, headers);
    // Keys may live in different partitions, where each has ids of its own.
    if (other.status === 200) expect(await stateOf("tally", "twin-b")).toEqual({ n: 5, events: 5 });
    else expect(said(other)).toEqual([409, "id_reused"]);
    expect(other.body["duplicate"]).not.toBe(true);
  });

  test("is kept as it is: any JSON, under any key", async () => {
    for (const state of [0, "é😀\u0000", [1, [2]], JSON.parse('{"__proto__":{"a":1}}')]) {
      const key = `any/${JSON.stringify(state)}`;
      expect((await put(key, state, { "if-none-match": "*" })).status).toBe(200);
      expect(await stateOf("tally", key)).toEqual(state);
    }
  });
});

describe("DELETE", () => {
  test("takes the state away; the next event begins anew", async () => {
    await postEvents(add("gone", 5));
    const { status, body } = await remove("gone", { "if-match": await etag("gone") });
    expect(status).toBe(200);
    expect(await stateOf("tally", "gone")).toBeUndefined();
    expect(said(await remove("gone", { "if-match": "*" }))).toEqual([412, "precondition_failed"]);
    await evict(body["partition"]);
    expect(await stateOf("tally", "gone")).toBeUndefined();
    await postEvents(add("gone", 2));
    expect(await stateOf("tally", "gone")).toEqual({ n: 2, events: 1 });
  });
});

describe("what can't be taken", () => {
  const any = { "if-match": "*" };
  test.each<[string, string, Record<string, string>, string | undefined, number, string]>([
    ["without a condition", "PUT", {}, "1", 428, "precondition_required"],
    ["without a condition", "DELETE", {}, undefined, 428, "precondition_required"],
    ["with two conditions", "PUT", { ...any, "if-none-match": "*" }, "1", 400, "invalid_condition"],
    ["If-Match without quotation marks", "PUT", { "if-match": "0-1-a" }, "1", 400, "invalid_condition"],
    ["If-Match that is endless", "PUT", { "if-match": '"a",'.repeat(2_000) }, "1", 400, "invalid_condition"],
    ["If-None-Match with an ETag", "PUT", { "if-none-match": '"0-1-a"' }, "1", 400, "invalid_condition"],
    ["no JSON", "PUT", any, "{", 400, "malformed_json"],
    ["nothing", "PUT", any, "", 400, "malformed_json"],
    ["another type", "PUT", { ...any, "content-type": "text/plain" }, "1", 415, "unsupported_media_type"],
    ["a large integer", "PUT", any, '{"n":9007199254740993}', 422, "unsafe_integer"],
    ["a number without end", "PUT", any, "1e999", 422, "unsafe_integer"],
    ["null", "PUT", any, "null", 422, "invalid_state"],
    ["no longer exact", "PUT", any, '{"n":[1e16]}', 422, "unsafe_integer"],
    ["too deep", "PUT", any, "[".repeat(300) + "]".repeat(300), 422, "invalid_state"],
    ["too large", "PUT", any, `"${"x".repeat(1024 * 1024)}"`, 413, "state_too_large"],
    ["far too large", "PUT", any, `"${"x".repeat(5_000_000)}"`, 413, "body_too_large"],
    [
      "an endless Idempotency-Key",
      "PUT",
      { ...any, "idempotency-key": "x".repeat(2_000) },
      "1",
      400,
      "invalid_idempotency_key",
    ],
  ])("%s: %s", async (_, method, headers, body, status, code) => {
    await postEvents(add("unmoved"));
    const before = await stateOf("tally", "unmoved");
    expect(said(await edit(method, "unmoved", headers, body))).toEqual([status, code]);
    expect(await stateOf("tally", "unmoved")).toEqual(before);
  });

  test("without a key, or with one that is none", async () => {
    for (const path of ["/v1/operators/tally/state", "/v1/operators/tally/state?key=", at("x".repeat(1_025))])
      expect(said(await call(path, { method: "PUT", headers: any, body: "1" }))).toEqual([400, "invalid_key"]);
  });

  test("an event that claims to be an edit", async () => {
    const forged = { type: "keyframe.state.put", key: "forged", data: { if: "none", version: 1, state: 1 } };
    expect(said(await postEvents(forged))).toEqual([422, "unknown_type"]);
    expect(await stateOf("tally", "forged")).toBeUndefined();
  });
});
