/** Snapshots: take one, list their manifests, and pin them. */
import { described, type Schema, type WholeParam } from "./described.ts";
import { BOOLEAN, constant, COUNT, list, NUMBER, object, orNull, ref, STRING, TIME } from "./schemas.ts";

const GROUP = "Snapshots";
const BASE = "/v1/operators/:op/partitions/:n";

const FILE = object({ name: STRING, bytes: COUNT, sha256: STRING, "rest?": COUNT, "ids?": COUNT });

export const SNAPSHOT_SCHEMAS: Readonly<Record<string, Schema>> = {
  Manifest: object({
    format: constant("keyframe.manifest"),
    v: COUNT,
    number: { ...COUNT, description: "1, 2, 3, …: of this partition's snapshots." },
    kind: { enum: ["full", "delta"] },
    line: COUNT,
    operator: STRING,
    partition: COUNT,
    "startSeq?": COUNT,
    "placed?": object({ seed: COUNT, database: STRING, "partitions?": COUNT }),
    operatorVersion: { ...COUNT, description: "Of the operator whose code took it." },
    code: STRING,
    epoch: COUNT,
    attempt: STRING,
    seq: { ...COUNT, description: "The state holds exactly the events 1 to this." },
    stamp: COUNT,
    at: TIME,
    ms: { type: "integer" },
    keys: COUNT,
    stateBytes: COUNT,
    "digest?": STRING,
    "unmigrated?": object({
      keys: { ...COUNT, description: "Whose state is of an older version, since migrating it fails." },
      some: list({ type: "array", prefixItems: [STRING, COUNT], minItems: 2, maxItems: 2 }),
    }),
    dedupSince: orNull(TIME),
    "pendingFrom?": { ...COUNT, description: "No timer was due before this time, in milliseconds since 1970." },
    "quarantined?": COUNT,
    "counters?": {
      ...list(NUMBER),
      description: "A version, then what the partition has counted: see the specification.",
    },
    "minutes?": {
      ...list(list(NUMBER)),
      description: "The last hour: a minute since 1970, then what was counted in it.",
    },
    "writer?": STRING,
    "rates?": {
      ...object({ replayPerMs: list(NUMBER), loadPerMs: list(NUMBER), openMs: list(NUMBER) }),
      description: "What the last openings measured, the newest at the end.",
    },
    snapshot: FILE,
    "parts?": COUNT,
    "chain?": list(FILE),
    "history?": list({ type: "array", prefixItems: [COUNT, STRING], minItems: 2, maxItems: 2 }),
    "resumed?": {
      ...orNull(COUNT),
      description: "Only in the first manifest of a later incarnation: the incarnation that it resumed from.",
    },
    archive: object({
      name: STRING,
      from: COUNT,
      to: COUNT,
      codec: STRING,
      blocks: list({ type: "array", items: COUNT, minItems: 5, maxItems: 5 }),
    }),
    checksum: COUNT,
  }),
  Unreadable: object({ unreadable: { type: "string", description: "Why." } }),
  Pinned: object({ partition: COUNT, manifest: COUNT, name: STRING, pinned: BOOLEAN }),
};

export const SNAPSHOT = described({
  method: "POST",
  path: `${BASE}/snapshot`,
  role: "admin",
  changes: true,
  group: GROUP,
  id: "takeSnapshot",
  summary: "Take a snapshot now",
  inPath: {},
  inQuery: {},
  answers: { 200: { about: "Its manifest.", schema: ref("Manifest") } },
  problems: { 409: ["nothing_to_save"] },
});

export const LIST_MANIFESTS = described({
  method: "GET",
  path: `${BASE}/manifests`,
  role: "admin",
  group: GROUP,
  id: "listManifests",
  summary: "The manifests that are kept, newest first",
  inPath: {},
  inQuery: {},
  answers: {
    200: { about: "Behind them what can't be read.", schema: list({ anyOf: [ref("Manifest"), ref("Unreadable")] }) },
  },
});

const manifest = (code: string, detail: (given: string, n: string) => string): WholeParam => ({
  type: "integer",
  minimum: 1,
  maximum: 9_999_999_999,
  about: "Number of the manifest.",
  example: 1,
  flaw: { status: 404, code, detail: (given, { n = "" }) => detail(given.slice(0, 100), n) },
});

export const noManifest = (given: string | number, n: string | number): string =>
  `no manifest ${given} is kept for partition ${n}`;

export const SHOW_MANIFEST = described({
  method: "GET",
  path: `${BASE}/manifests/:manifest`,
  role: "admin",
  group: GROUP,
  id: "getManifest",
  summary: "One manifest",
  inPath: { manifest: manifest("no_manifest", noManifest) },
  inQuery: {},
  answers: { 200: { about: "As it stands in R2.", schema: ref("Manifest") } },
});

export const LIST_PINS = described({
  method: "GET",
  path: `${BASE}/pins`,
  role: "admin",
  group: GROUP,
  id: "listPins",
  summary: "The pins",
  inPath: {},
  inQuery: {},
  answers: {
    200: { about: "By manifest and name.", schema: list(object({ manifest: COUNT, name: STRING, since: TIME })) },
  },
});

export const noRestorePoint = (given: string | number, n: string | number): string =>
  `manifest ${JSON.stringify(String(given))} of partition ${n} is neither current nor a restore point: only a kept snapshot can be pinned`;

const PIN_NAME = {
  name: {
    type: "string",
    pattern: "^[a-z0-9][a-z0-9._-]{0,62}$",
    about: "Name of the holder: several may hold the same snapshot, each by its own name. Default `admin`.",
    example: "audit-2026",
    flaw: {
      status: 400,
      code: "invalid_name",
      detail:
        "the name of a pin is a-z, 0-9, '.', '_' and '-', starts with a letter or digit, and has at most 63 characters",
    },
  },
} as const;

export const PIN = described({
  method: "POST",
  path: `${BASE}/manifests/:manifest/pin`,
  role: "admin",
  changes: true,
  group: GROUP,
  id: "pinManifest",
  summary: "Pin a snapshot, so that retention keeps it",
  inPath: { manifest: manifest("no_restore_point", noRestorePoint) },
  inQuery: PIN_NAME,
  answers: { 200: { about: "The pin holds from this answer on. May be sent again.", schema: ref("Pinned") } },
  problems: { 409: ["too_many_pins"] },
});

export const UNPIN = described({
  method: "DELETE",
  path: `${BASE}/manifests/:manifest/pin`,
  role: "admin",
  changes: true,
  group: GROUP,
  id: "unpinManifest",
  summary: "Unpin a snapshot",
  inPath: { manifest: manifest("no_restore_point", noRestorePoint) },
  inQuery: PIN_NAME,
  answers: { 200: { about: "That name no longer holds it. May be sent again.", schema: ref("Pinned") } },
});
