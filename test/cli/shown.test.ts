/** Texts that the commands show to people: pure functions from answers to lines. */
import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import type { OperatorStatus, PartitionInfo } from "../../src/client/admin-answers.ts";
import { adoptedLines } from "../../src/cli/adopt.ts";
import {
  checkLines,
  healthCell,
  judgeAccess,
  judgeOperators,
  judgePartition,
  judgeStores,
} from "../../src/cli/checks.ts";
import { judgeColdOpen, type Look } from "../../src/cli/cold-open.ts";
import { judgeDollars } from "../../src/cli/dollars.ts";
import { entryLine } from "../../src/cli/history.ts";
import { recoveredLines } from "../../src/cli/recover.ts";
import { plain } from "../../src/cli/screen.ts";
import type { Paint } from "../../src/cli/text.ts";
import { statusTable } from "../../src/cli/status.ts";
import { quantile } from "../../src/cli/text.ts";
import { verifiedLines } from "../../src/cli/verify-partition.ts";
import { bytes, span } from "../../src/client/amounts.ts";

const RECOVERY = { at: "2026-01-01T00:00:00Z", ms: 9, manifest: 4, replayedEvents: 0, fallbacks: 0 };
const NOW = Date.parse("2026-01-02T00:00:00Z");
const HOUR_MS = 3_600_000;

const well: PartitionInfo = {
  partition: 0,
  epoch: 3,
  appliedSeq: 20_000,
  snapshotSeq: 19_000,
  tailEvents: 1_000,
  tailBytes: 204_800,
  keys: 319,
  stateBytes: 43_210,
  quarantined: 0,
  lastSnapshot: {
    manifest: 4,
    kind: "delta",
    bytes: 6_543,
    ms: 31,
    at: new Date(NOW - 120_000).toISOString(),
  },
  lastRecovery: { ...RECOVERY, ms: 12 },
  estimatedRecoveryMs: 88,
};
const operator = { name: "usage", version: 2, events: [], partitions: 1 };
const lost: OperatorStatus = {
  operator: { ...operator, name: "credits", partitions: null, lost: "catalogue_lost" },
  partitions: [],
};

describe("status", () => {
  it("is one table of all partitions, with what is lost below it", () => {
    const fresh = {
      ...well,
      partition: 1,
      appliedSeq: 0,
      snapshotSeq: 0,
      tailEvents: 0,
      keys: 0,
      stateBytes: 0,
      lastSnapshot: null,
      estimatedRecoveryMs: 0,
    };
    expect(statusTable([{ operator, partitions: [well, fresh] }, lost], NOW, plain)).toEqual([
      "OPERATOR  PART  HEALTH   EPOCH  APPLIED  SNAPSHOT            TAIL  KEYS    STATE  QUARANTINE  LAST SNAPSHOT              RECOVERY",
      "usage        0  healthy      3   20,000    19,000  1,000 (205 kB)   319  43.2 kB           0  delta, 6.54 kB, 2 min ago     88 ms",
      "usage        1  unused       3        0         0               0     0      0 B           0  none                           0 ms",
      "credits: catalogue_lost; keyframe recover --from-r2 credits",
    ]);
  });
});

describe("status, of one partition", () => {
  const health = (one: Partial<PartitionInfo>): string => healthCell({ ...well, ...one }, NOW, plain);

  it.each([
    [{}, "healthy"],
    [{ appliedSeq: 0 }, "unused"],
    [{ quarantined: 3 }, "quarantined events"],
    [{ quarantined: null }, "healthy"],
    [{ lastSnapshot: { unreadable: "its checksum is wrong" }, estimatedRecoveryMs: 5_000 }, "unreadable snapshot"],
    [{ estimatedRecoveryMs: 1_001, lastRecovery: { ...RECOVERY, fallbacks: 2 } }, "slow recovery"],
    [{ lastSnapshot: null }, "no snapshot"],
    [{ lastRecovery: { ...RECOVERY, fallbacks: 2 }, quarantined: 1 }, "corrupt snapshot"],
  ])("%j: %s", (one, said) => expect(health(one)).toBe(said));

  it("paints what isn't healthy, and the columns stand as without", () => {
    const paint: Paint = (colour, text) => (colour === "red" ? `\u001b[31m${text}\u001b[39m` : text);
    const of = (how: Paint): string[] =>
      statusTable([{ operator, partitions: [well, { ...well, estimatedRecoveryMs: 5_000 }] }], NOW, how);
    expect(of(paint).map((line) => stripVTControlCharacters(line))).toEqual(of(plain));
    expect(of(paint)[2]).toContain("\u001b[31mslow recovery\u001b[39m  ");
  });
});

describe("doctor", () => {
  const states = (one: Partial<PartitionInfo>): string[] =>
    judgePartition("usage", { ...well, ...one }, NOW, 1_000).map(({ state, detail }) => `${state}: ${detail}`);

  it("names keys whose state can't be migrated, in status, doctor and verify-partition", () => {
    const unmigrated = { keys: 7, some: [{ key: "ada", version: 1 }] };
    const said = `7 keys can't be migrated: "ada" (of version 1); keyframe get says why`;
    expect(states({ unmigrated })).toEqual([`bad: ${said}`]);
    const operator = { name: "usage", version: 2, events: [], partitions: 1 };
    const lines = statusTable([{ operator, partitions: [{ ...well, unmigrated }] }], NOW, plain);
    expect([lines[1]!.includes("failed migration"), lines.at(-1)]).toEqual([true, `usage 0: ${said}`]);
    const equal = { equal: true, seq: 1, manifest: null, replayedEvents: 1, keys: 1, unmigrated };
    expect(verifiedLines(equal).at(-1)).toBe(`  ${said}`);
  });

  it("says what the app costs a day: what rose between two looks, where both have it", () => {
    const before = new Map([['{meter="a"}', 1]]);
    const after = new Map([
      ['{meter="a"}', 1.5],
      ['{meter="silent before"}', 9],
    ]);
    expect(judgeDollars(before, after, 12 * HOUR_MS).detail).toMatch(
      /^1\.00 dollars a day at the rate of the last 12 h/,
    );
    expect(judgeDollars(after, before, HOUR_MS).detail).toMatch(/^0\.0000 dollars/);
  });

  it("has nothing to say of a partition that is healthy", () => expect(states({})).toEqual([]));

  it.each([
    [{ estimatedRecoveryMs: 1_001 }, "bad: estimated recovery 1.0 s, above the target of 1.0 s"],
    [
      { lastSnapshot: { unreadable: "its checksum is wrong" } },
      "bad: its current manifest can't be read: its checksum is wrong",
    ],
    [
      { lastRecovery: { ...RECOVERY, fallbacks: 2 } },
      "note: its last recovery passed over 2 snapshot(s) that were corrupt or missing",
    ],
    [{ lastSnapshot: null }, "note: it has no snapshot, with 1,000 events (205 kB) after it"],
    [
      {
        lastSnapshot: {
          ...well.lastSnapshot,
          at: new Date(NOW - 30 * HOUR_MS).toISOString(),
        } as PartitionInfo["lastSnapshot"],
      },
      "note: its last snapshot is 1 d old, with 1,000 events (205 kB) after it",
    ],
  ])("%j: %s", (one, expected) => expect(states(one)).toEqual([expected]));

  it("an old snapshot is healthy where little came after it", () =>
    expect(states({ tailEvents: 999, tailBytes: 999_999, lastSnapshot: null })).toEqual([]));

  it("gives a line for each operator, and those of its partitions that need one", () => {
    const slow = { ...well, partition: 1, estimatedRecoveryMs: 5_000 };
    const checks = judgeOperators(
      [{ operator, partitions: [well, slow] }, { operator: { ...operator, name: "sum" }, partitions: [well] }, lost],
      NOW,
      1_000,
    );
    expect(checkLines(checks, plain)).toEqual([
      "bad   usage 1  estimated recovery 5.0 s, above the target of 1.0 s",
      "ok    sum      version 2, 1 partition(s), slowest estimated recovery 88 ms",
      "bad   credits  catalogue_lost: keyframe recover --from-r2 credits",
    ]);
  });

  it.each([
    [200, "", true, "ok"],
    [200, "", false, "ok"],
    [404, "no_operator", true, "ok"],
    [400, "empty_body", true, "ok"],
    [403, "wrong_role", true, "note"],
    [401, "bad_token", true, "bad"],
    [401, "no_token", false, "bad"],
    [401, "closed", false, "bad"],
    [503, "catalogue_lost", true, "bad"],
    [503, "log_not_migrated", true, "bad"],
  ])("a route that answers %i %s (token: %s) is %s", (status, code, token, state) =>
    expect(judgeAccess("admin", { status, code }, token).state).toBe(state),
  );
});

describe("doctor, of an app whose databases aren't migrated", () =>
  it("says what to run", () =>
    expect(judgeAccess("read", { status: 503, code: "log_not_migrated" }, true).detail).toMatch(
      /run the migrations: npx wrangler d1 migrations apply/,
    )));

describe("doctor, of the stores", () => {
  const app = {
    code: "4f1c",
    deployedAt: "2026-01-01T00:00:00Z",
    region: null,
    jurisdiction: null,
    colo: "FRA",
    stores: [],
  };
  const near = { name: "LOG_0", kind: "d1", ms: [9, 3, 4], region: "WEUR", bytes: 1_234_567 };

  it("says where the app lives, and how far each store is", () =>
    expect(
      checkLines(
        judgeStores({
          ...app,
          stores: [near, { ...near, name: "LOG_1", ms: [90, 91, 200] }, { name: "SNAPSHOTS", kind: "r2", ms: [12] }],
        }),
        plain,
      ),
    ).toEqual([
      "ok    code       4f1c, deployed 2026-01-01T00:00:00Z",
      "note  region     REGION is unset: each object runs near its first caller, JURISDICTION is unset, this request ran in FRA",
      "ok    LOG_0      4 ms from the Worker, the median of 3, in WEUR, 1.23 MB",
      "note  LOG_1      91 ms from the Worker, the median of 3, in WEUR, 1.23 MB",
      "ok    SNAPSHOTS  12 ms from the Worker, the median of 1",
    ]));

  it("a store that doesn't answer is bad, and a region that is set is fine", () =>
    expect(
      judgeStores({
        ...app,
        deployedAt: null,
        colo: null,
        region: "weur",
        jurisdiction: "eu",
        stores: [{ ...near, ms: [], error: "D1 did not answer" }],
      }),
    ).toEqual([
      { state: "ok", what: "code", detail: "4f1c" },
      { state: "ok", what: "region", detail: "REGION weur, JURISDICTION eu" },
      { state: "bad", what: "LOG_0", detail: "doesn't answer the app: D1 did not answer" },
    ]));
});

describe("doctor --evict", () => {
  const before: Look = { appliedSeq: 1_500, keys: 7, value: '{"n":4}', seq: 1_499 };
  const judged = (after: Partial<Look>, recovery: Parameters<typeof judgeColdOpen>[1]["recovery"] = null): string => {
    const { state, detail } = judgeColdOpen("usage 0", { before, after: { ...before, ...after }, ms: 48, recovery });
    return `${state}: ${detail}`;
  };

  it("says how long it took, and from what", () =>
    expect(judged({}, { at: "t", ms: 12, manifest: 3, replayedEvents: 500 })).toBe(
      "ok: read 48 ms after an eviction (12 ms of it recovery, from manifest 3 and 500 events): the same 7 keys, 1,500 events and value",
    ));

  it.each([
    [{ appliedSeq: 1_499 }, "bad: after an eviction it has 1,499 events; there were 1,500"],
    [{ seq: 3 }, "bad: after an eviction the key is as of seq 3; it was as of 1,499"],
    [{ value: null }, 'bad: after an eviction the key is without state; it was {"n":4}'],
    [{ keys: 6 }, "bad: after an eviction it has 6 keys; there were 7"],
    [
      { appliedSeq: 1_502, value: '{"n":5}', seq: 1_502, keys: 8 },
      "ok: read 48 ms after an eviction: 2 events arrived meanwhile, and nothing is lost",
    ],
    [{ appliedSeq: 1_502, value: '{"n":5}' }, 'bad: after an eviction the key is {"n":5}; it was {"n":4}'],
  ])("%j: %s", (after, said) => expect(judged(after)).toBe(said));
});

describe("history and adopt", () => {
  const event = { type: "t", id: "i\n", source: "/" };
  const entry = {
    seq: 48_211,
    time: "2026-01-01T00:00:00.000Z",
    event,
    outcome: { status: "applied" },
    value: { n: 1 },
  };
  const head = '48,211\t2026-01-01T00:00:00.000Z\t"t" "i\\n"\t';

  it.each([
    [{}, 'applied\t{"n":1}'],
    [{ outcome: { status: "refused", code: "empty" } }, 'refused empty\t{"n":1}'],
    [{ outcome: { status: "quarantined", error: "oh\n" }, value: null }, 'quarantined "oh\\n"\tnull'],
    [{ value: null, unknown: "version 1 applied it" }, "applied\tunknown: version 1 applied it"],
  ])("an entry %j", (more, line) => expect(entryLine({ ...entry, ...more }, plain)).toBe(head + line));

  it.each<[string, object, string]>([
    ["abandon", {}, 'timer "abandon" due 2026-01-01T00:00:00.000Z\tapplied'],
    ["", {}, "expiry due 2026-01-01T00:00:00.000Z\tapplied"],
    [
      "",
      { outcome: { status: "refused", code: "not_pending" } },
      "alarm due 2026-01-01T00:00:00.000Z\trefused not_pending",
    ],
  ])("the firing of %j as what it is", (timer, more, words) => {
    const data = { timer, due: Date.UTC(2026, 0, 1) };
    const event = { type: "keyframe.timer", id: "x@1", source: "keyframe:timer", data };
    expect(entryLine({ ...entry, event, ...more }, plain)).toContain(`"keyframe.timer" ${words}`);
  });

  it("what was decided, and what is given up", () => {
    const body = { partition: 0, truth: "r2", epoch: 9, seq: 7_000, manifest: 2, passedOver: ["manifest 3: gone"] };
    expect(adoptedLines("usage", { ...body, givenUp: { seqs: [7_001, 7_300], manifests: [3, 3] } })).toEqual([
      "passed over: manifest 3: gone",
      "partition 0 of usage resumes after seq 7,000, as R2 has it, from manifest 2",
      "given up: events 7,001 to 7,300, manifests 3 to 3",
      "send later events again",
    ]);
    const none = { ...body, manifest: null, passedOver: [], givenUp: { seqs: null, manifests: null } };
    expect(adoptedLines("usage", none)).toContain("no event is known to be given up");
  });
});

describe("recover and verify-partition", () => {
  it("say what became of each partition", () => {
    const items = [
      {
        partition: 0,
        status: "recovered",
        manifest: 12,
        seq: 48_211,
        at: "2026-01-31T12:00:00.000Z",
        passedOver: ["manifest 13: its checksum is wrong"],
      },
      { partition: 1, status: "later" },
    ];
    expect(recoveredLines({ operator: "usage", changed: true, complete: false, items }, plain)).toEqual([
      "PART  STATUS     MANIFEST     SEQ  STATE AS OF",
      "   0  recovered        12  48,211  2026-01-31T12:00:00.000Z",
      "   1  later",
      "passed over in partition 0: manifest 13: its checksum is wrong",
      "usage is incomplete: run it again; send later events again",
    ]);
  });

  it("say what a moment gives up, and what is missing", () => {
    const at = "2026-01-31T12:00:00.000Z";
    const items = [
      { partition: 0, status: "recovered", manifest: null, seq: 12, at, passedOver: [], givenUp: 1_200 },
      { partition: 1, status: "short", seq: 7, at, passedOver: [], missing: 5 },
      { partition: 2, status: "short", seq: 0, at: null, passedOver: [] },
      { partition: 3, status: "nothing", missing: 1 },
    ];
    const body = { operator: "usage", to: 1, time: at, changed: true, complete: false, items };
    expect(recoveredLines(body, plain)).toEqual([
      "PART  STATUS     MANIFEST  SEQ  STATE AS OF",
      "   0  recovered             12  2026-01-31T12:00:00.000Z",
      "   1  short                  7  2026-01-31T12:00:00.000Z",
      "   2  short                  0",
      "   3  nothing",
      "missing in partition 1: 5 events up to the moment lost with D1",
      "missing in partition 2: events up to the moment may be lost with D1",
      "missing in partition 3: 1 event up to the moment lost with D1",
      `usage is incomplete: --incomplete recovers it without as of ${at}; 1,200 archived events after it are given up; send later events again`,
    ]);
  });

  it("show the first difference", () => {
    const first = { seq: 5, key: "a\u001b", live: { n: 1 }, rebuilt: null };
    expect(verifiedLines({ equal: false, seq: 7, manifest: 3, replayedEvents: 0, keys: 0, first })).toEqual([
      "different at seq 7, rebuilt from manifest 3",
      '  first at seq 5, key "a\\u001b"',
      '    live    {"n":1}',
      "    rebuilt null",
    ]);
  });
});

describe("numbers", () => {
  it("in words", () => {
    expect([0, 999, 1_000, 10_000, 1e6, 2.5e9].map(bytes)).toEqual(["0 B", "999 B", "1 kB", "10 kB", "1 MB", "2.5 GB"]);
    expect([0.4, 999, 1_500, 59_000, 60_000, HOUR_MS, 48 * HOUR_MS].map(span)).toEqual([
      "0 ms",
      "999 ms",
      "1.5 s",
      "59.0 s",
      "1 min",
      "1 h",
      "2 d",
    ]);
  });

  it("a quantile is a value that was measured", () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect([0, 0.5, 0.99, 1].map((share) => quantile(hundred, share))).toEqual([1, 50, 99, 100]);
    expect(quantile([7], 0.99)).toBe(7);
  });
});
