/** What the commands show to people: pure functions from answers to lines. */
import { describe, expect, it } from "vitest";
import type { OperatorStatus, PartitionInfo } from "../../src/cli/answers.ts";
import { checkLines, judgeAccess, judgeOperators, judgePartition } from "../../src/cli/checks.ts";
import { recoveredLines } from "../../src/cli/recover.ts";
import { plain } from "../../src/cli/screen.ts";
import { statusTable } from "../../src/cli/status.ts";
import { bytes, milliseconds, quantile, span } from "../../src/cli/text.ts";
import { verifiedLines } from "../../src/cli/verify-partition.ts";

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
  lastSnapshot: {
    version: 4,
    kind: "delta",
    seq: 19_000,
    bytes: 6_543,
    ms: 31,
    at: new Date(NOW - 120_000).toISOString(),
  },
  lastRecovery: { ms: 12, fallbacks: 0 },
  predictedRecoveryMs: 88,
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
      predictedRecoveryMs: 0,
    };
    expect(statusTable([{ operator, partitions: [well, fresh] }, lost], NOW, plain)).toEqual([
      "OPERATOR  PART  EPOCH  APPLIED  SNAPSHOT            TAIL  KEYS  STATE  LAST SNAPSHOT             RECOVERY",
      "usage        0      3   20,000    19,000  1,000 (205 KB)   319  43 KB  delta, 6.5 KB, 2 min ago     88 ms",
      "usage        1      3        0         0               0     0    0 B  none                          0 ms",
      "credits: catalogue_lost; keyframe recover --from-r2 credits",
    ]);
  });
});

describe("doctor", () => {
  const states = (one: Partial<PartitionInfo>): string[] =>
    judgePartition("usage", { ...well, ...one }, NOW, 1_000).map(({ state, detail }) => `${state}: ${detail}`);

  it("has nothing to say of a partition that is well", () => expect(states({})).toEqual([]));

  it.each([
    [{ predictedRecoveryMs: 1_001 }, "bad: it would take 1.0 s to come back; 1.0 s are promised"],
    [
      { lastSnapshot: { unreadable: "its checksum is wrong" } },
      "bad: its current manifest can't be read: its checksum is wrong",
    ],
    [
      { lastRecovery: { ms: 9, fallbacks: 2 } },
      "note: when it last came back it passed over 2 snapshot(s) that couldn't be read",
    ],
    [{ lastSnapshot: null }, "note: it has no snapshot, with 1,000 events (205 KB) behind it"],
    [
      {
        lastSnapshot: {
          ...well.lastSnapshot,
          at: new Date(NOW - 30 * HOUR_MS).toISOString(),
        } as PartitionInfo["lastSnapshot"],
      },
      "note: its last snapshot is 1 d old, with 1,000 events (205 KB) behind it",
    ],
  ])("%j: %s", (one, expected) => expect(states(one)).toEqual([expected]));

  it("an old snapshot is well where little came after it", () =>
    expect(states({ tailEvents: 999, tailBytes: 999_999, lastSnapshot: null })).toEqual([]));

  it("gives a line for each operator, and those of its partitions that need one", () => {
    const slow = { ...well, partition: 1, predictedRecoveryMs: 5_000 };
    const checks = judgeOperators(
      [{ operator, partitions: [well, slow] }, { operator: { ...operator, name: "sum" }, partitions: [well] }, lost],
      NOW,
      1_000,
    );
    expect(checkLines(checks, plain)).toEqual([
      "bad   usage 1  it would take 5.0 s to come back; 1.0 s are promised",
      "ok    sum      version 2, 1 partition(s), the slowest back in 88 ms",
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
    [401, "shut", false, "bad"],
    [503, "catalogue_lost", true, "bad"],
  ])("a route that answers %i %s (token: %s) is %s", (status, code, token, state) =>
    expect(judgeAccess("admin", { status, code }, token).state).toBe(state),
  );
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
      "usage is not complete: call it again; senders should send again what they sent after that",
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
    expect([0, 999, 1_000, 10_000, 1e6, 2.5e9].map(bytes)).toEqual([
      "0 B",
      "999 B",
      "1.0 KB",
      "10 KB",
      "1.0 MB",
      "2.5 GB",
    ]);
    expect([0.4, 999, 1_500, 59_000, 60_000, HOUR_MS, 48 * HOUR_MS].map(span)).toEqual([
      "0 ms",
      "999 ms",
      "1.5 s",
      "59 s",
      "1 min",
      "1 h",
      "2 d",
    ]);
    expect(["500ms", "1s", "1.5m", "24h", "7d", "soon", "5", "-1s"].map(milliseconds)).toEqual([
      500,
      1_000,
      90_000,
      24 * HOUR_MS,
      168 * HOUR_MS,
      null,
      null,
      null,
    ]);
  });

  it("a quantile is a value that was measured", () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect([0, 0.5, 0.99, 1].map((share) => quantile(hundred, share))).toEqual([1, 50, 99, 100]);
    expect(quantile([7], 0.99)).toBe(7);
  });
});
