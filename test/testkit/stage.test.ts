/** The stage under the test kit: a restart reads the last snapshot's file back, and replays only what was logged since. */
import { z } from "zod";
import { expect, it } from "vitest";
import { operator } from "../../src/engine/operator/operator.ts";
import { Stage } from "../../src/testkit/stage.ts";

it("G1: comes back from a snapshot and the log above it", async () => {
  const ran: number[] = [];
  const noted = operator("noted", {
    version: 1,
    events: { note: z.object({ n: z.int() }) },
    key: ({ data }) => (data.n === 5 ? "__proto__" : "k"),
    initial: () => ({ notes: [] as number[] }),
    on: {
      note(state, event) {
        ran.push(event.data.n);
        state.notes.push(event.data.n);
      },
    },
  });
  const stage = new Stage(noted, Date.UTC(2026, 0, 1));
  const send = (n: number) => stage.send({ type: "note", data: { n } });
  await send(1);
  await send(2);
  await stage.snapshot();
  await send(3);
  ran.length = 0;
  stage.restart();
  expect(await stage.states()).toEqual({ k: { notes: [1, 2, 3] } });
  expect(ran).toEqual([3]);
  await send(4);
  expect(await stage.state("k")).toEqual({ notes: [1, 2, 3, 4] });
  await send(5);
  expect(Object.entries(await stage.states()).length).toBe(2);
  // An event from before the snapshot is still recognised after it.
  expect(await stage.send({ id: "event-0", type: "note", data: { n: 1 } })).toMatchObject({ duplicate: true });
});

it("G2: an event's time of receipt doesn't depend on snapshots in between", async () => {
  const clocked = operator("clocked", {
    version: 1,
    events: { tick: z.null() },
    key: () => "k",
    initial: () => ({ at: [] as number[] }),
    on: { tick: (state, _event, ctx) => void state.at.push(ctx.now) },
  });
  const start = Date.UTC(2026, 0, 1);
  const stage = new Stage(clocked, start);
  for (let i = 0; i < 3; i++) {
    await stage.send({ type: "tick", data: null });
    await stage.snapshot();
    stage.restart();
  }
  expect(await stage.state("k")).toEqual({ at: [start, start + 1_000, start + 2_000] });
});
