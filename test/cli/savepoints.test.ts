/** `save`, `savepoints`, `unsave`: what they ask for, what they print, and their exit status. */
import { describe, expect, it } from "vitest";
import { against } from "./scripted-server.ts";

const SAVED = {
  name: "month-end",
  at: 1_838_629_852_437_504,
  time: "2026-11-24T16:16:05.271Z",
  created: "2026-11-30T10:00:00.000Z",
  restorable: true,
};
const WAITING = { ...SAVED, restorable: false, unarchived: 3 };

describe("savepoints", () => {
  it("save sends the moment, if there is one, and prints the stamp", async () => {
    const now = await against([{ status: 201, body: SAVED }], "save", "month-end");
    expect(now).toMatchObject({ status: 0, out: [`month-end is stamp ${SAVED.at}, ${SAVED.time}`] });
    expect(now.heard[0]).toMatchObject({ line: "PUT /v1/savepoints/month-end", body: "{}" });
    const then = await against([{ body: SAVED }], "save", "month-end", "--at", "-90m", "--json");
    expect(then).toMatchObject({ status: 0, out: [JSON.stringify(SAVED)] });
    expect(then.heard[0]!.body).toBe('{"at":"-90m"}');
  });

  it("save says which snapshots are left until R2 alone has the moment", async () => {
    const ran = await against([{ status: 201, body: { ...WAITING, unarchived: 1 } }], "save", "month-end");
    expect(ran.err).toBe("it can be recovered from R2 alone after the next snapshot of 1 partition\n");
  });

  it.each([
    [409, "savepoint_exists", 1],
    [409, "too_many_savepoints", 1],
    [409, "not_settled", 1],
    [410, "moment_gone", 1],
    [400, "invalid_name", 2],
  ])("save: %i %s ends with %3$i, and says why", async (status, code, ends) => {
    const ran = await against([{ status, body: { code, detail: "the reason" } }], "save", "month-end");
    expect([ran.status, ran.err]).toEqual([ends, expect.stringContaining("the reason")]);
  });

  it("savepoints lists them, unsave removes one", async () => {
    const listed = await against([{ body: [SAVED] }], "savepoints");
    expect(listed.out.join("\n")).toContain(String(SAVED.at));
    expect((await against([{ body: [SAVED] }], "savepoints")).out[1]).toMatch(/ yes$/);
    const waiting = await against([{ body: [WAITING] }], "savepoints");
    expect(waiting.out[1]).toContain("after the next snapshots of 3 partitions");
    expect(await against([{ body: [] }], "savepoints")).toMatchObject({ status: 0, err: "there is no savepoint\n" });
    const removed = await against([{ body: { name: "month-end", removed: true } }], "unsave", "month-end");
    expect(removed).toMatchObject({ status: 0, out: ["savepoint month-end is removed"] });
    expect(removed.requests).toEqual(["DELETE /v1/savepoints/month-end"]);
  });
});
