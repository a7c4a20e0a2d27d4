/** D1 is gone after a promotion: main comes back with its past, from R2 alone. */
import { env } from "cloudflare:workers";
import { z } from "zod";
import { beforeEach, describe, expect, it } from "vitest";
import { operator } from "../../../src/keyframe.ts";
import { deploy, type Deployment } from "../deployment.ts";
import { loseD1 } from "../lose-d1.ts";

/** Enough that each partition has some. */
const KEYS = Array.from({ length: 40 }, (_, i) => `account-${i}`);

interface Item {
  readonly partition: number;
  readonly status: string;
  readonly seq?: number;
  readonly missing?: number;
}

let tills = 0;

/** An operator over both databases. Each test has its own: the objects of the one before know a log that is gone. */
class Till {
  readonly name = `till-${++tills}`;
  readonly #of = operator(this.name, {
    version: 1,
    partitions: 4,
    events: { [this.name]: z.object({ n: z.int() }) },
    initial: () => ({ sum: 0 }),
    on: {
      [this.name]: (state: { sum: number }, event: { readonly data: { readonly n: number } }) =>
        void (state.sum += event.data.n),
    },
  });
  #app: Deployment | null = null;

  /** Other objects in memory, as after a deploy. */
  async start(...others: readonly Till[]): Promise<void> {
    this.#app = await deploy(this.#of, ...others.map((one) => one.#of));
    for (const one of others) one.#app = this.#app;
  }

  call(path: string, body?: unknown, headers: Record<string, string> = {}, method?: string) {
    return this.#app!.call(path, body, headers, method);
  }

  events(round: number, keys = KEYS): unknown[] {
    return keys.map((key, i) => ({ type: this.name, id: `${round}-${key}`, key, data: { n: round * 100 + i } }));
  }

  async sell(round: number, timeline = "main"): Promise<Record<string, unknown>> {
    return (await this.call(`/v1/events?timeline=${timeline}`, this.events(round))).body;
  }

  async sums(query = ""): Promise<unknown> {
    const { status, body } = await this.call(`/v1/operators/${this.name}/state?limit=1000${query}`);
    if (status !== 200) return body["code"];
    const items = body["items"] as { key: string; value: { sum: number } }[];
    return Object.fromEntries(items.map(({ key, value }) => [key, value.sum]));
  }

  async snapshot(timeline = "main"): Promise<void> {
    for (const n of [0, 1, 2, 3]) {
      const path = `/v1/operators/${this.name}/partitions/${n}/snapshot?timeline=${timeline}`;
      expect(await this.call(path, {})).toMatchObject({ status: 200 });
    }
  }

  async save(name: string): Promise<number> {
    return (await this.call(`/v1/savepoints/${name}`, {}, {}, "PUT")).body["at"] as number;
  }

  async timeline(name: string, from = "now"): Promise<Record<string, unknown>> {
    return (await this.call(`/v1/timelines/${name}`, { from, expires: null }, {}, "PUT")).body;
  }

  async promote(name: string): Promise<void> {
    const promoted = await this.call(`/v1/timelines/${name}/promotion`, undefined, { "if-match": "*" }, "POST");
    expect(promoted).toMatchObject({ status: 200, body: { promoted: true } });
  }

  async recover(body: unknown = {}) {
    const answer = await this.call(`/v1/operators/${this.name}/recover`, body);
    const items = (answer.body["items"] ?? []) as Item[];
    return { ...answer, statuses: [...new Set(items.map(({ status }) => status))], items };
  }

  async timelines(): Promise<readonly Record<string, unknown>[]> {
    return (await this.call("/v1/timelines")).body as unknown as readonly Record<string, unknown>[];
  }
}

async function lose(till: Till, ...databases: readonly D1Database[]): Promise<void> {
  await loseD1(...databases);
  await till.start();
}

const sum = (...rounds: readonly number[]): Record<string, number> =>
  Object.fromEntries(KEYS.map((key, i) => [key, rounds.reduce((all, round) => all + round * 100 + i, 0)]));

/** Rounds 1 and 2 on the first line, 3 given up, 4 on the line that is main since. All of them are in snapshots. */
async function promoted(): Promise<{ readonly till: Till; readonly before: number; readonly start: number }> {
  const till = new Till();
  await till.start();
  await till.sell(1);
  await till.snapshot();
  const before = await till.save("before");
  await till.sell(2);
  const { at } = await till.timeline("fix");
  await till.sell(3);
  await till.snapshot();
  expect(await till.sell(4, "fix")).toMatchObject({ accepted: 40 });
  await till.promote("fix");
  return { till, before, start: at as number };
}

beforeEach(async () => {
  const { objects } = await env.SNAPSHOTS.list();
  if (objects.length > 0) await env.SNAPSHOTS.delete(objects.map(({ key }) => key));
  await loseD1(env.LOG_0, env.LOG_1);
});

describe("D1 is lost after a promotion", () => {
  it("a partition that was split comes back from the snapshots of its parts, and a part without one refuses", async () => {
    const till = new Till();
    await till.start();
    await till.sell(1);
    await till.snapshot();
    const before = await till.save("early");
    const made = await till.call("/v1/timelines/wide", { from: "end", partitions: { [till.name]: 8 } }, {}, "PUT");
    expect(made.status).toBe(201);
    await till.promote("wide");
    const some = KEYS.slice(0, 2);
    const sent = await till.call("/v1/events", till.events(2, some));
    expect(sent.body).toMatchObject({ accepted: 2 });
    for (const key of some) {
      const { body } = await till.call(`/v1/operators/${till.name}/state?key=${key}`);
      const path = `/v1/operators/${till.name}/partitions/${String(body["partition"])}/snapshot`;
      expect(await till.call(path, {})).toMatchObject({ status: 200 });
    }
    await lose(till, env.LOG_0, env.LOG_1);
    const { statuses } = await till.recover();
    expect(new Set(statuses)).toEqual(new Set(["recovered", "nothing"]));
    expect((await till.timelines()).at(-1)).toMatchObject({ name: "main", split: { [till.name]: 2 } });
    let refused = 0;
    for (const [i, key] of KEYS.entries()) {
      const { status, body } = await till.call(`/v1/operators/${till.name}/state?key=${key}`);
      if (status === 200) expect((body["value"] as { sum: number }).sum).toBe(i < 2 ? 300 + 2 * i : 100 + i);
      else {
        refused += 1;
        expect(body["code"]).toBe("catalogue_lost");
      }
    }
    expect(refused).toBeGreaterThan(0);
    expect(refused).toBeLessThan(KEYS.length - 1);
    expect(await till.sums(`&at=${before}`)).toBe("catalogue_lost");
  });

  it("RECOVERLINES1: main comes back with its past, and continues as the same line", async () => {
    const { till, before, start } = await promoted();
    await till.snapshot();
    await till.sell(5);
    await till.snapshot();
    await till.sell(6);

    await lose(till, env.LOG_0, env.LOG_1);
    expect(await till.sums()).toBe("catalogue_lost");
    expect(await till.sell(7)).toMatchObject({ code: "catalogue_lost" });
    expect(await till.recover()).toMatchObject({ status: 200, body: { complete: true }, statuses: ["recovered"] });
    expect(await till.sums()).toEqual(sum(1, 2, 4, 5));
    expect(await till.sums(`&at=${before}`)).toEqual(sum(1));
    expect(await till.sums(`&at=${start}`)).toEqual(sum(1, 2));
    expect(await till.timelines()).toMatchObject([
      { name: "main~1", line: 1, state: "sealed" },
      { name: "main", line: 2, state: "main", from: "main~1", at: start },
    ]);
    expect(await till.sums("&timeline=main~1"), "up to its last snapshot").toEqual(sum(1, 2, 3));
    expect(await till.recover()).toMatchObject({ body: { complete: true, changed: false }, statuses: ["kept"] });

    // Events of main are known, those that were given up or lost count again, and the former main takes none.
    for (const [round, answer] of [
      [2, { accepted: 0, duplicates: 40 }],
      [4, { accepted: 0, duplicates: 40 }],
      [3, { accepted: 40, duplicates: 0 }],
      [6, { accepted: 40, duplicates: 0 }],
    ] as const)
      expect(await till.sell(round)).toMatchObject(answer);
    await till.snapshot();
    await till.start();
    expect(await till.sums()).toEqual(sum(1, 2, 3, 4, 5, 6));
    expect(await till.sell(8, "main~1")).toMatchObject({ code: "timeline_sealed" });

    // Numbers go on above all that were given, and main can be switched again.
    expect((await till.timeline("next"))["line"]).toBeGreaterThan(2);
    await till.sell(9, "next");
    await till.promote("next");
    expect(await till.sums()).toEqual(sum(1, 2, 3, 4, 5, 6, 9));
    expect(await till.sums(`&at=${before}`)).toEqual(sum(1));
    const { objects } = await env.SNAPSHOTS.list({ prefix: "mains/" });
    expect(objects.map(({ key }) => key)).toMatchObject(
      [/^mains\/0000000001-2$/, /^mains\/0000000002-1\d\d\d$/].map((one) => expect.stringMatching(one) as unknown),
    );
  });

  it("START3: a line without a snapshot of its own comes back as of its start, and takes events", async () => {
    const { till, before } = await promoted();
    await lose(till, env.LOG_0, env.LOG_1);
    const recovered = await till.recover();
    expect(recovered).toMatchObject({ status: 200, body: { complete: true }, statuses: ["recovered"] });
    expect(recovered.items.reduce((all, { seq = 0 }) => all + seq, 0)).toBe(80);
    expect(await till.sums()).toEqual(sum(1, 2));
    expect(await till.sums(`&at=${before}`)).toEqual(sum(1));
    expect(await till.recover()).toMatchObject({ body: { changed: false }, statuses: ["kept"] });
    expect(await till.sell(2)).toMatchObject({ duplicates: 40 });
    expect(await till.sell(4), "D1 alone had it").toMatchObject({ accepted: 40 });
    await till.snapshot();
    await lose(till, env.LOG_0, env.LOG_1);
    expect(await till.recover()).toMatchObject({ statuses: ["recovered"] });
    expect(await till.sums()).toEqual(sum(1, 2, 4));
  });

  it("some partitions have snapshots of their own and some don't", async () => {
    const { till, before } = await promoted();
    await till.call(`/v1/operators/${till.name}/partitions/1/snapshot`, {});
    const there = (await till.sums()) as Record<string, number>;
    await lose(till, env.LOG_0, env.LOG_1);
    expect(await till.recover()).toMatchObject({ body: { complete: true } });
    const now = (await till.sums()) as Record<string, number>;
    const whole = KEYS.filter((key) => now[key] === there[key]);
    expect(whole.length).toBeGreaterThan(0);
    expect(KEYS.filter((key) => now[key] === sum(1, 2)[key]).length).toBe(KEYS.length - whole.length);
    expect(await till.sums(`&at=${before}`)).toEqual(sum(1));
  });

  it("over two promotions, each moment is read from the line that it is of", async () => {
    const { till, before, start } = await promoted();
    // Of the second line, two partitions have snapshots, and of the third one one of those and one of the others.
    for (const n of [0, 1]) await till.call(`/v1/operators/${till.name}/partitions/${n}/snapshot`, {});
    await till.sell(5);
    const between = await till.save("between");
    await till.snapshot();
    await till.timeline("second");
    await till.sell(6, "second");
    await till.promote("second");
    for (const n of [1, 2]) await till.call(`/v1/operators/${till.name}/partitions/${n}/snapshot`, {});
    const there = (await till.sums()) as Record<string, number>;
    await lose(till, env.LOG_0, env.LOG_1);
    expect(await till.recover()).toMatchObject({ body: { complete: true }, statuses: ["recovered"] });
    const now = (await till.sums()) as Record<string, number>;
    const isOf = (sums: Record<string, number>, key: string): boolean => now[key] === sums[key];
    expect(KEYS.every((key) => isOf(there, key) || isOf(sum(1, 2, 4, 5), key))).toBe(true);
    expect([there, sum(1, 2, 4, 5)].map((sums) => KEYS.some((key) => isOf(sums, key)))).toEqual([true, true]);
    expect(await till.sums(`&at=${before}`)).toEqual(sum(1));
    expect(await till.sums(`&at=${start}`)).toEqual(sum(1, 2));
    expect(await till.sums(`&at=${between}`)).toEqual(sum(1, 2, 4, 5));
    expect((await till.timelines()).map(({ name, line }) => [name, line])).toEqual([
      ["main~2", 1],
      ["main~1", 2],
      ["main", 3],
    ]);
    expect(await till.sell(4)).toMatchObject({ duplicates: 40 });
    expect(await till.sell(3)).toMatchObject({ accepted: 40 });
  });

  it.each([
    ["the first database", () => [env.LOG_0]],
    ["another database", () => [env.LOG_1]],
  ])("%s alone: what it held comes back", async (_, databases) => {
    const { till, before } = await promoted();
    await till.snapshot();
    await lose(till, ...databases());
    expect(await till.sums()).toBe("catalogue_lost");
    expect(await till.recover()).toMatchObject({
      body: { complete: true },
      statuses: expect.arrayContaining(["kept", "recovered"]) as unknown,
    });
    expect(await till.sums()).toEqual(sum(1, 2, 4));
    expect(await till.sums(`&at=${before}`)).toEqual(sum(1));
    expect(await till.sell(4)).toMatchObject({ duplicates: 40 });
    expect(await till.sell(5)).toMatchObject({ accepted: 40 });
    await till.timeline("again");
    await till.promote("again");
    expect(await till.sums()).toEqual(sum(1, 2, 4, 5));
  });

  it("START2: moments up to the start are given up where R2 doesn't have all of them", async () => {
    const till = new Till();
    await till.start();
    await till.sell(1);
    await till.snapshot();
    const before = await till.save("before");
    // Nothing of the first line is saved from now on.
    await till.sell(2);
    await till.timeline("fix");
    await till.promote("fix");
    await till.sell(3);
    await till.snapshot();
    const after = await till.save("after");
    await lose(till, env.LOG_0, env.LOG_1);
    expect(await till.recover()).toMatchObject({ body: { complete: true }, statuses: ["recovered"] });
    expect(await till.sums()).toEqual(sum(1, 2, 3));
    expect(await till.sums(`&at=${after}`)).toEqual(sum(1, 2, 3));
    expect(await till.sums(`&at=${before}`)).toBe("moment_gone");
    expect(await till.sell(2)).toMatchObject({ duplicates: 40 });
  });

  it("a former main that was removed isn't needed", async () => {
    const { till, before } = await promoted();
    await till.snapshot();
    const { objects } = await env.SNAPSHOTS.list({ prefix: "1/" });
    await env.SNAPSHOTS.delete(objects.map(({ key }) => key));
    await lose(till, env.LOG_0, env.LOG_1);
    expect(await till.recover()).toMatchObject({ body: { complete: true }, statuses: ["recovered"] });
    expect(await till.sums()).toEqual(sum(1, 2, 4));
    expect(await till.sums(`&at=${before}`)).toBe("moment_gone");
    expect(await till.timelines()).toMatchObject([{ name: "main", line: 2 }]);
  });

  it("a new operator isn't placed on the first line, while R2 knows that another one is main", async () => {
    const { till } = await promoted();
    await loseD1(env.LOG_0, env.LOG_1);
    const other = new Till();
    await other.start();
    expect(await other.sell(1)).toMatchObject({ code: "catalogue_lost" });
    await till.start();
    await till.recover();
    await other.start();
    expect(await other.sell(1)).toMatchObject({ accepted: 40 });
    expect(await other.sums()).toEqual(sum(1));
  });
});

describe("a recovery to a moment, after a promotion", () => {
  it("RECOVERLINES2: comes to a savepoint of the line that is main", async () => {
    const { till, before } = await promoted();
    await till.sell(5);
    const at = await till.save("month-end");
    await till.sell(6);
    await till.snapshot();
    await lose(till, env.LOG_0, env.LOG_1);
    expect(await till.recover({ to: "month-end" })).toMatchObject({
      body: { to: at, complete: true },
      statuses: ["recovered"],
    });
    expect(await till.sums()).toEqual(sum(1, 2, 4, 5));
    expect(await till.sums(`&at=${before}`)).toEqual(sum(1));
    expect(await till.sell(6)).toMatchObject({ accepted: 40 });
    expect(await till.sell(5)).toMatchObject({ duplicates: 40 });
    expect(await till.recover({ to: at })).toMatchObject({ body: { changed: false, complete: true } });
  });

  it("RECOVERLINES2: a savepoint from before its start makes the earlier line main again, for good", async () => {
    const { till, before } = await promoted();
    await till.snapshot();
    await lose(till, env.LOG_0, env.LOG_1);
    expect(await till.recover({ to: "before" })).toMatchObject({
      body: { to: before, complete: true },
      statuses: ["recovered"],
    });
    expect(await till.sums()).toEqual(sum(1));
    expect(await till.timelines()).toMatchObject([{ name: "main", line: 1 }]);
    expect(await till.sell(7)).toMatchObject({ accepted: 40 });
    await till.snapshot();
    expect((await till.timeline("later"))["line"]).toBeGreaterThan(2);

    await lose(till, env.LOG_0, env.LOG_1);
    expect(await till.recover()).toMatchObject({ body: { complete: true }, statuses: ["recovered"] });
    expect(await till.sums()).toEqual(sum(1, 7));
  });

  describe("RECOVERLINES4: what the promotion gave up comes back for no other operator", () => {
    let [one, other, unused] = [new Till(), new Till(), new Till()];
    let before: number;
    let later: number;
    let start: number;
    const each = async <T>(act: (till: Till) => Promise<T>): Promise<T[]> => [await act(one), await act(other)];
    const begin = async (): Promise<void> => {
      await loseD1(env.LOG_0, env.LOG_1);
      await one.start(other, unused);
    };
    const refuse = async (till: Till): Promise<void> => {
      for (const body of [{}, { to: "given-up" }, { to: later }, { to: start + 1 }]) {
        const refused = await till.recover(body);
        expect(refused).toMatchObject({ status: 409, body: { code: "line_not_recoverable" } });
        expect(refused.body["detail"]).toContain(`above stamp ${start}`);
      }
      expect(await till.sums()).toBe("catalogue_lost");
    };

    beforeEach(async () => {
      [one, other, unused] = [new Till(), new Till(), new Till()];
      await one.start(other, unused);
      await each((till) => till.sell(1));
      await each((till) => till.snapshot());
      before = await one.save("before");
      await each((till) => till.sell(2));
      start = (await one.timeline("fix"))["at"] as number;
      await each((till) => till.sell(3));
      later = await one.save("given-up");
      await each((till) => till.snapshot());
      await one.promote("fix");
      await each((till) => till.sell(4));
      await each((till) => till.snapshot());
      await begin();
    });

    it("from the first recovery on, until D1 is lost again", async () => {
      // Nothing of it was ever saved, so R2 has no object of this switch yet.
      expect(await unused.recover({ to: before })).toMatchObject({ statuses: ["nothing"] });
      await refuse(other);
      expect(await one.recover({ to: before })).toMatchObject({ body: { complete: true }, statuses: ["recovered"] });
      await refuse(other);
      expect(await other.recover({ to: start })).toMatchObject({ body: { complete: true }, statuses: ["recovered"] });
      expect(await each((till) => till.sums())).toEqual([sum(1), sum(1, 2)]);
      expect(await other.recover()).toMatchObject({ body: { changed: false }, statuses: ["kept"] });

      await each((till) => till.sell(7));
      await each((till) => till.snapshot());
      await begin();
      for (const till of [one, other]) expect(await till.recover()).toMatchObject({ body: { complete: true } });
      expect(await each((till) => till.sums())).toEqual([sum(1, 7), sum(1, 2, 7)]);
    });

    it("also if main was switched again", async () => {
      await one.recover({ to: before });
      await one.timeline("next");
      await one.promote("next");
      const refused = await other.recover();
      expect(refused).toMatchObject({ status: 409, body: { code: "line_not_recoverable" } });
      expect(refused.body["detail"]).toContain(`above stamp ${start}`);
      expect(await one.sums()).toEqual(sum(1));
    });
  });

  it("says what is missing where the line has nothing of its own in R2", async () => {
    const { till } = await promoted();
    const at = await till.save("unsaved");
    await lose(till, env.LOG_0, env.LOG_1);
    const short = await till.recover({ to: "unsaved" });
    expect(short).toMatchObject({ body: { to: at, complete: false }, statuses: ["short"] });
    expect(short.items.reduce((all, { missing = 0 }) => all + missing, 0)).toBe(40);
    expect(await till.sums()).toBe("catalogue_lost");
    expect(await till.recover({ to: "unsaved", incomplete: true })).toMatchObject({ body: { complete: true } });
    expect(await till.sums()).toEqual(sum(1, 2));
  });

  it("refuses what R2 can't tell, and says what to do", async () => {
    const { till, before } = await promoted();
    await till.snapshot();
    expect(await till.recover({ to: "before" })).toMatchObject({ status: 409, body: { code: "line_not_recoverable" } });
    await env.LOG_0.prepare("UPDATE directory SET main = 1, switches = 0").run();
    const older = await till.recover();
    expect(older).toMatchObject({ status: 409, body: { code: "line_not_recoverable" } });
    expect(older.body["detail"]).toContain("restore LOG_0");

    await lose(till, env.LOG_0, env.LOG_1);
    const name = "mains/0000000001-2";
    const kept = await (await env.SNAPSHOTS.get(name))!.text();
    for (const damage of ["", kept.replace("[1,", "[3,"), "x"]) {
      await env.SNAPSHOTS.put(name, damage);
      expect(await till.recover()).toMatchObject({ status: 409, body: { code: "line_not_recoverable" } });
    }
    await env.SNAPSHOTS.put(name, kept.replace('"v":1', '"v":2'));
    expect(await till.recover()).toMatchObject({ status: 503, body: { code: "unknown_format" } });
    await env.SNAPSHOTS.put(name, kept);
    const { objects } = await env.SNAPSHOTS.list({ prefix: "1/" });
    await env.SNAPSHOTS.delete(objects.map(({ key }) => key));
    const gone = await till.recover({ to: String(before) });
    expect(gone).toMatchObject({ status: 409, body: { code: "line_not_recoverable" } });
    expect(gone.body["detail"]).toContain("choose a later moment");
    expect((await env.LOG_0.prepare("SELECT operator FROM operators").all()).results).toEqual([]);
  });
});
