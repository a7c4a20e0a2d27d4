/** LOG6: what requests hold of their bodies is bounded for the isolate; lines are not held, and go on. */
import { expect, it } from "vitest";
import { HELD_BODY_BYTES } from "../../../src/engine/base/limits.ts";
import { HeldBody } from "../../../src/worker/http/held-bodies.ts";
import { add, fetchApp } from "../http.ts";

const send = async (type: string, body: string, headers: Record<string, string> = {}): Promise<[number, unknown]> => {
  const response = await fetchApp("/v1/events", {
    method: "POST",
    headers: { "content-type": type, ...headers },
    body,
  });
  const { code, accepted } = await response.json<{ code?: string; accepted?: number }>();
  return [response.status, code ?? accepted];
};
const event = (n: number): string => JSON.stringify({ ...add("held-bodies", 1), id: `held-${n}` });

it("a body that is held waits outside while others fill the memory, and gives back what it held", async () => {
  const others = new HeldBody();
  expect(others.hold(HELD_BODY_BYTES - 100)).toBe(true);
  expect(await send("application/json", `[${event(1)},${event(2)}]`)).toEqual([503, "too_many_bodies"]);
  expect(await send("application/x-ndjson", `${event(1)}\n${event(2)}\n`, { prefer: "return=representation" })).toEqual(
    [503, "too_many_bodies"],
  );
  expect(await send("application/x-ndjson", `${event(3)}\n${event(4)}\n`), "lines as they come").toEqual([200, 2]);
  others.release();
  expect(await send("application/json", `[${event(1)},${event(2)}]`)).toEqual([200, 2]);
  const all = new HeldBody();
  expect(all.hold(HELD_BODY_BYTES), "nothing of what was refused or answered is held any more").toBe(true);
  all.release();
});
