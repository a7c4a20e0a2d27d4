/** Routes that show partitions, and steer them. */
import type { Truth } from "../../engine/recovery/adopt.ts";
import { described, type Schema } from "./described.ts";
import { ANY, BOOLEAN, constant, COUNT, list, NUMBER, object, orNull, ref, STRING, TIME } from "./schemas.ts";

const GROUP = "Partitions";
const BASE = "/v1/operators/:op/partitions/:n";

export const RECOVERY = object({
  at: TIME,
  ms: NUMBER,
  manifest: orNull(COUNT),
  replayedEvents: COUNT,
  fallbacks: { ...COUNT, description: "Snapshots that were corrupt or missing." },
  "phases?": object({
    openMs: { ...NUMBER, description: "The round trip to D1 before it." },
    loadMs: { ...NUMBER, description: "Duration of reading the snapshot." },
    replayMs: { ...NUMBER, description: "Duration of replaying the log above it." },
  }),
});
/** The member is there only if some keys can't be migrated. */
const UNMIGRATED: Schema = {
  ...object({ keys: COUNT, some: list(object({ key: STRING, version: COUNT })) }),
  description:
    "Keys whose state is of an older version, since migrating it fails: how many, and some of them. Without `live` as of the current snapshot.",
};
const RANGE = orNull({ type: "array", items: COUNT, minItems: 2, maxItems: 2 });

export const PARTITION_SCHEMAS: Readonly<Record<string, Schema>> = {
  Partition: object({
    partition: COUNT,
    epoch: COUNT,
    appliedSeq: COUNT,
    snapshotSeq: COUNT,
    tailEvents: { ...COUNT, description: "Events that no snapshot covers." },
    tailBytes: COUNT,
    keys: COUNT,
    stateBytes: COUNT,
    "unmigrated?": UNMIGRATED,
    "inherited?": {
      ...constant(true),
      description:
        "It has logged nothing on this timeline, and D1 alone was asked: it holds what it held at the timeline's start, which the other members don't count.",
    },
    dedupSince: orNull(TIME),
    quarantined: {
      ...orNull(COUNT),
      description: "Events in quarantine; null if that isn't known without asking the partition.",
    },
    lastSnapshot: {
      anyOf: [
        object({
          manifest: { ...COUNT, description: "Its manifest's number." },
          kind: { enum: ["full", "delta"] },
          seq: COUNT,
          bytes: COUNT,
          ms: { type: "integer" },
          at: TIME,
        }),
        ref("Unreadable"),
        { type: "null" },
      ],
    },
    lastRecovery: orNull(RECOVERY),
    estimatedRecoveryMs: {
      ...NUMBER,
      description: "What a recovery would take now, as the last openings of the partition took.",
    },
    region: orNull(STRING),
    jurisdiction: orNull(STRING),
  }),
};

const LIVE = {
  live: {
    type: "string",
    about: "`true` asks the partition itself; else the answer is from D1, without waking anything.",
    example: "true",
  },
} as const;

export const LIST_PARTITIONS = described({
  method: "GET",
  path: "/v1/operators/:op/partitions",
  role: "admin",
  group: GROUP,
  id: "listPartitions",
  summary: "All partitions of an operator",
  inPath: {},
  inQuery: LIVE,
  answers: { 200: { about: "From 0.", schema: list(ref("Partition")) } },
});

export const SHOW_PARTITION = described({
  method: "GET",
  path: BASE,
  role: "admin",
  group: GROUP,
  id: "getPartition",
  summary: "One partition",
  inPath: {},
  inQuery: LIVE,
  answers: { 200: { about: "The partition's status.", schema: ref("Partition") } },
});

export const VERIFY = described({
  method: "POST",
  path: `${BASE}/verify`,
  role: "admin",
  group: GROUP,
  id: "verifyPartition",
  summary: "Rebuild the state beside the live one, and compare",
  inPath: {},
  inQuery: {},
  answers: {
    200: {
      about: "The result of the comparison, equal or not.",
      schema: {
        anyOf: [
          object({
            partition: COUNT,
            equal: constant(true),
            seq: COUNT,
            manifest: orNull(COUNT),
            replayedEvents: COUNT,
            keys: COUNT,
            "unmigrated?": UNMIGRATED,
          }),
          object({
            partition: COUNT,
            equal: constant(false),
            seq: COUNT,
            manifest: orNull(COUNT),
            first: object({ seq: COUNT, key: STRING, live: ANY, rebuilt: ANY }),
            "unmigrated?": UNMIGRATED,
          }),
        ],
      },
    },
  },
  problems: { 409: ["not_comparable", "not_rebuilt"] },
  more: object({ "unmigrated?": UNMIGRATED }),
});

export const EVICT = described({
  method: "POST",
  path: `${BASE}/evict`,
  role: "admin",
  group: GROUP,
  id: "evictPartition",
  summary: "Drop the partition's object from memory, as a crash would",
  inPath: {},
  inQuery: {},
  answers: { 200: { about: "The object has ended.", schema: object({ partition: COUNT, evicted: constant(true) }) } },
});

const TRUTHS = ["d1", "r2"] as const satisfies readonly Truth[];
export const isTruth = (value: unknown): value is Truth => TRUTHS.some((truth) => truth === value);

export const ADOPT = described({
  method: "POST",
  path: `${BASE}/adopt`,
  role: "admin",
  changes: true,
  group: GROUP,
  id: "adoptPartition",
  summary: "After D1 was restored to an older point: decide which side counts",
  about: "Events that are given up never come back.",
  inPath: {},
  inQuery: {},
  body: { "application/json": { schema: object({ truth: { enum: TRUTHS } }), example: { truth: "d1" } } },
  answers: {
    200: {
      about: "The partition resumes after event `seq`.",
      schema: object({
        partition: COUNT,
        truth: { enum: TRUTHS },
        epoch: COUNT,
        seq: COUNT,
        manifest: orNull(COUNT),
        givenUp: object({ seqs: RANGE, manifests: RANGE }),
        passedOver: list(STRING),
      }),
    },
  },
  problems: { 400: ["invalid_body"], 409: ["not_rewound", "nothing_in_r2", "snapshot_unreadable"] },
});

const OUTCOME = (status: readonly string[], more: Readonly<Record<string, Schema>> = {}): Schema =>
  object({ partition: COUNT, status: { enum: status }, ...more });

const PASSED_OVER = { ...list(STRING), description: "Newer manifests that can't be read, and why." };
const MISSING: Schema = { ...COUNT, description: "Events up to the moment that R2 doesn't have, if a savepoint says." };

export const RECOVER = described({
  method: "POST",
  path: "/v1/operators/:op/recover",
  role: "admin",
  mainOnly: true,
  group: GROUP,
  id: "recoverOperator",
  summary: "After D1 was lost: rebuild the missing rows from R2",
  about:
    "Existing rows never change, so the request may be sent at any time, and again. With `to`, all partitions come back as of that moment, into databases that have nothing of the operator.",
  inPath: {},
  inQuery: {},
  body: {
    "application/json": {
      schema: object({
        "to?": { anyOf: [STRING, COUNT], description: "A savepoint's name, a stamp, or a time." },
        "incomplete?": {
          ...BOOLEAN,
          description: "Yes to partitions that R2 doesn't bring up to the moment: they come back as far as it reaches.",
        },
      }),
      example: {},
    },
  },
  answers: {
    200: {
      about: "The outcome for each partition.",
      schema: object({
        operator: STRING,
        "to?": COUNT,
        "time?": TIME,
        changed: BOOLEAN,
        complete: BOOLEAN,
        partitions: COUNT,
        items: list({
          anyOf: [
            {
              ...OUTCOME(["kept", "nothing", "later"], { "missing?": MISSING }),
              description:
                "`kept`: it has its row. `nothing`: R2 holds no manifest of it, so it is new, or lost without a snapshot (then it answers `log_rewound`). `later`: the request's time was over, so send it again.",
            },
            {
              ...OUTCOME(["recovered"], {
                manifest: orNull(COUNT),
                seq: COUNT,
                at: TIME,
                passedOver: PASSED_OVER,
                "givenUp?": { ...COUNT, description: "Archived events after the moment, which are given up." },
                "incomplete?": { const: true },
                "missing?": MISSING,
              }),
              description:
                "It resumes from the manifest, with a moment also from the archived log above it, which hold the events 1 to `seq`. Null: from its log alone, or from the line that its line starts from. What came after `at` is lost. `incomplete`: it doesn't reach the moment, and the request said yes to that.",
            },
            {
              ...OUTCOME(["short"], { seq: COUNT, at: orNull(TIME), passedOver: PASSED_OVER, "missing?": MISSING }),
              description:
                "R2 has the events 1 to `seq`, the last one of `at`, and not all up to the moment. Nothing was written.",
            },
            {
              ...OUTCOME(["unreadable"], { passedOver: PASSED_OVER }),
              description:
                "None of its manifests can be read, or none is as old as the moment. So it still refuses with `catalogue_lost`.",
            },
          ],
        }),
      }),
    },
  },
  problems: {
    400: ["invalid_moment", "malformed_json", "invalid_body", "invalid_utf8", "malformed_gzip", "body_interrupted"],
    404: ["no_savepoint"],
    409: ["not_settled", "not_empty", "recovering", "savepoint_unclear", "line_not_recoverable"],
    413: ["body_too_large", "gzip_bomb"],
    415: ["unsupported_encoding"],
  },
  unplaced: true,
});
