/** Savepoints of the client: what it asks for, and what becomes of the answers. */
import { describe, expect, it } from "vitest";
import { client, type SavepointsClient } from "../../src/client/client.ts";
import { ScriptedApp, type Fault } from "./scripted-app.ts";

const SAVED = { name: "month-end", at: 1_806_200_000_000_000, time: "t", created: "c", restorable: true };
const answer = (status: number, body: unknown): Fault => ({ tag: "answer", status, body });

function asked(...faults: Fault[]): { readonly app: ScriptedApp; readonly savepoints: SavepointsClient } {
  const app = new ScriptedApp((_, attempt) => faults[attempt - 1]!);
  return { app, savepoints: client({ url: "http://app.test", fetch: app.fetch, clock: app.clock }).savepoints };
}
const lines = ({ seen }: ScriptedApp): string[] => seen.map(({ method, path, text }) => `${method} ${path} ${text}`);

describe("savepoints of the client", () => {
  it("are saved now, or at a moment", async () => {
    const { app, savepoints } = asked(answer(201, SAVED), answer(200, SAVED), answer(200, SAVED));
    expect(await app.run(savepoints.save("month-end"))).toEqual(SAVED);
    await app.run(savepoints.save("month-end", SAVED.at));
    await app.run(savepoints.save("month-end", new Date(Date.UTC(2026, 10, 24, 9))));
    expect(lines(app)).toEqual([
      "PUT /v1/savepoints/month-end {}",
      `PUT /v1/savepoints/month-end {"at":"${SAVED.at}"}`,
      'PUT /v1/savepoints/month-end {"at":"2026-11-24T09:00:00.000Z"}',
    ]);
  });

  it("are asked for again if the answer is lost, since the same again changes nothing", async () => {
    const { app, savepoints } = asked({ tag: "lost", taken: true }, answer(200, SAVED));
    expect(await app.run(savepoints.save("month-end"))).toEqual(SAVED);
    expect(lines(app)).toEqual(Array(2).fill("PUT /v1/savepoints/month-end {}"));
  });

  it("of another moment under the name are an error", async () => {
    const { app, savepoints } = asked(answer(409, { code: "savepoint_exists", detail: "other", at: 5 }));
    await expect(app.run(savepoints.save("month-end", "-1h"))).rejects.toMatchObject({ code: "savepoint_exists" });
  });

  it("are listed, found or not found, and removed", async () => {
    const { app, savepoints } = asked(
      answer(200, [SAVED]),
      answer(200, SAVED),
      answer(404, { code: "no_savepoint", detail: "none" }),
      answer(200, { name: "month-end", removed: true }),
    );
    expect(await app.run(savepoints.list())).toEqual([SAVED]);
    expect(await app.run(savepoints.get("month-end"))).toEqual(SAVED);
    expect(await app.run(savepoints.get("none"))).toBeNull();
    expect(await app.run(savepoints.remove("month-end"))).toBeUndefined();
    expect(lines(app)).toEqual([
      "GET /v1/savepoints ",
      "GET /v1/savepoints/month-end ",
      "GET /v1/savepoints/none ",
      "DELETE /v1/savepoints/month-end ",
    ]);
  });

  it.each(["save", "list", "get", "remove"] as const)("%s believes no stranger's answer", async (method) => {
    const { app, savepoints } = asked(answer(200, { ok: true }));
    const call: Promise<unknown> = savepoints[method]("month-end");
    await expect(app.run(call)).rejects.toMatchObject({ code: "unexpected_answer" });
  });
});
