/**
 * The members that a good answer of each route must hold, so that it passes for the app's (answer.ts).
 * The list has what docs/reference/api.md says of a route, as far as the client and the commands rely on it. The test
 * test/client/holds.test.ts compares it with the descriptions of the routes.
 */

/** `?` after a name: the member may be missing. A function picks the shape by the value, or by a member of it. */
export type Shape =
  | "anything"
  | "true"
  | "false"
  | "a boolean"
  | "a number"
  | "a number or null"
  | "a whole number"
  | "a text"
  | "a text or null"
  | readonly [Shape]
  | ((members: Readonly<Record<string, unknown>>, value: unknown) => Shape)
  | { readonly [member: string]: Shape };

const PLACED = { key: "a text", partition: "a number", seq: "a number or null", duplicate: "a boolean" } as const;
const MANIFEST = {
  number: "a number",
  kind: "a text",
  seq: "a number",
  keys: "a number",
  at: "a text",
  ms: "a number",
  snapshot: { name: "a text", bytes: "a number" },
  "chain?": [{ bytes: "a number" }],
} as const;
const UNREADABLE = { unreadable: "a text" } as const;
const orUnreadable =
  (shape: Shape) =>
  (members: Readonly<Record<string, unknown>>): Shape =>
    "unreadable" in members ? UNREADABLE : shape;
const orNull =
  (shape: Shape) =>
  (_: unknown, value: unknown): Shape =>
    value === null ? "anything" : shape;
const PARTITION = {
  partition: "a number",
  epoch: "a number",
  appliedSeq: "a number",
  snapshotSeq: "a number",
  tailEvents: "a number",
  tailBytes: "a number",
  keys: "a number",
  stateBytes: "a number",
  quarantined: "a number or null",
  estimatedRecoveryMs: "a number",
  lastSnapshot: "anything",
  lastRecovery: "anything",
} as const;
const EDITED = {
  operator: "a text",
  key: "a text",
  partition: "a number",
  seq: "a number",
  duplicate: "a boolean",
} as const;
const ERASED = {
  id: "a text",
  operator: "a text",
  partition: "a number",
  seq: "a number",
  complete: "a boolean",
  holders: [{ where: "a text", count: "a number", goes: "a text" }],
} as const;
/** Keys whose states can't be migrated. */
const FAILED = [{ key: "a text", code: "a text", message: "a text" }] as const;
const STATE = {
  operator: "a text",
  key: "a text",
  value: "anything",
  partition: "a number",
  seq: "a number",
  time: "a text",
} as const;
const TIMERS = {
  operator: "a text",
  key: "a text",
  timers: [{ name: "a text", due: "a text" }],
  expires: "a text or null",
  partition: "a number",
  seq: "a number",
  time: "a text",
} as const;
const STATE_PAGE = {
  items: [{ key: "a text", value: "anything" }],
  "cursor?": "a text",
  "failed?": FAILED,
} as const;
const STATES = {
  items: [{ key: "a text", value: "anything", seq: "a number" }],
  missing: ["a text"],
  "failed?": FAILED,
} as const;
const EVENT = {
  seq: "a number",
  time: "a text",
  event: { type: "a text", id: "a text", source: "a text" },
  outcome: { status: "a text", "code?": "a text", "error?": "a text" },
  operatorVersion: "a number",
  "unknown?": "a text",
} as const;
const HISTORY = {
  operator: "a text",
  key: "a text",
  items: [{ ...EVENT, value: "anything" }],
  "before?": "a number",
  "expired?": "true",
} as const;
const BLAME = {
  operator: "a text",
  key: "a text",
  path: "a text",
  item: orNull({ ...EVENT, "from?": "anything", "to?": "anything" }),
  "before?": "a number",
  "expired?": "true",
} as const;
/** An answer to `at=` names its stamp. An app that doesn't know moments answers about the present without it. */
export const ABOUT_AT = { at: "a whole number", "exact?": "false" } as const satisfies Shape;
const STEERED = {
  id: "a text",
  command: "a text",
  status: "a text",
  seq: "a number",
  duplicate: "a boolean",
  "value?": "anything",
  "code?": "a text",
  "detail?": "anything",
  "error?": "a text",
} as const;
const QUARANTINED = {
  id: "a text",
  partition: "a number",
  seq: "a number",
  type: "a text",
  key: "a text",
  error: "a text",
  "errorName?": "a text",
  "stack?": "a text",
  operatorVersion: "a number",
  code: "a text",
  time: "a text",
  event: "anything",
} as const;

const STEERED_MANY = {
  command: "a text",
  applied: "a number",
  refused: "a number",
  quarantined: "a number",
  gone: "a number",
  items: [{ id: "a text", status: "a text", "code?": "a text", "error?": "a text" }],
  "cursor?": "a text",
} as const;

/** The shape of the counts of sent events, also in a problem document (api.md). */
export const COUNTS = {
  received: "a number",
  accepted: "a number",
  duplicates: "a number",
  refused: "a number",
  rejected: "a number",
  quarantined: "a number",
  unrouted: "a number",
  through: "a number",
  errors: [{ index: "a number", id: "a text or null", code: "a text", message: "a text", "acceptedBy?": ["a text"] }],
  "results?": [
    {
      index: "a number",
      operator: "a text or null",
      status: "a text",
      duplicate: "a boolean",
      value: "anything",
    },
  ],
} as const satisfies Shape;

const SAVEPOINT = {
  name: "a text",
  at: "a number",
  time: "a text",
  created: "a text",
  restorable: "a boolean",
  "unarchived?": "a number",
} as const satisfies Shape;

const TIMELINE = {
  name: "a text",
  line: "a whole number",
  state: "a text",
  "from?": "a text",
  "at?": "a whole number",
  "time?": "a text",
  "split?": "anything",
  "created?": "a text",
  "expires?": "a text",
  "replay?": {
    of: "a text",
    outcomes: "a text",
    lag: "a whole number",
    behind: "a whole number",
    changed: "a whole number",
    "trouble?": "a text",
  },
} as const satisfies Shape;
const STRETCHES = {
  events: "a whole number",
  "last?": "a text",
  partitions: [{ operator: "a text", partition: "a whole number", first: "a whole number", last: "a whole number" }],
} as const satisfies Shape;
const GIVING_UP = {
  timeline: "a text",
  mode: "a text",
  parted: "a whole number",
  partedTime: "a text",
  givesUp: STRETCHES,
  takes: STRETCHES,
} as const satisfies Shape;
const FOLLOWING = {
  timeline: "a text",
  mode: "a text",
  outcomes: "a text",
  lag: "a whole number",
  changes: {
    events: "a whole number",
    partitions: [{ operator: "a text", partition: "a whole number", events: "a whole number" }],
  },
} as const satisfies Shape;
const RESCALING = { timeline: "a text", mode: "a text", partitions: "anything" } as const satisfies Shape;

type Members = { readonly [member: string]: Shape };
const PREVIEWS: Readonly<Record<string, Members>> = { follow: FOLLOWING, rescale: RESCALING };
const previewOf = (mode: unknown): Members => PREVIEWS[String(mode)] ?? GIVING_UP;

const DONE = { promoted: "true", switches: "a whole number", former: "a text" } as const satisfies Shape;

/** A message of `watch`. */
export const WATCHED = { key: "a text", value: "anything", seq: "a number or null" } as const satisfies Shape;

/** Beside the counts: the reply, in a problem that says what an operator decided (`ask`). */
export const DECIDED = PLACED satisfies Shape;

/** `:name` stands for any part of the path, `?name&other` for parameters that must be there. The first match counts. */
export const HOLDS: readonly (readonly [method: string, path: string, shape: Shape])[] = [
  ["GET", "/healthz", { ok: "true" }],
  ["POST", "/v1/events", COUNTS],
  ["POST", "/v1/operators/:op/ask", { value: "anything", ...PLACED }],
  [
    "GET",
    "/v1/operators",
    [{ name: "a text", version: "a number", partitions: "a number or null", "lost?": "a text" }],
  ],
  ["GET", "/v1/operators/:op/state?key&at", { ...STATE, ...ABOUT_AT }],
  ["GET", "/v1/operators/:op/state?key", STATE],
  ["GET", "/v1/operators/:op/state?at", { ...STATE_PAGE, ...ABOUT_AT }],
  ["GET", "/v1/operators/:op/state", STATE_PAGE],
  ["POST", "/v1/operators/:op/state/batch?at", { ...STATES, ...ABOUT_AT }],
  ["POST", "/v1/operators/:op/state/batch", STATES],
  ["PUT", "/v1/operators/:op/state", EDITED],
  ["DELETE", "/v1/operators/:op/state", EDITED],
  ["GET", "/v1/operators/:op/timers?at", { ...TIMERS, ...ABOUT_AT }],
  ["GET", "/v1/operators/:op/timers", TIMERS],
  ["GET", "/v1/operators/:op/history?at", { ...HISTORY, at: ABOUT_AT.at }],
  ["GET", "/v1/operators/:op/history", HISTORY],
  ["GET", "/v1/operators/:op/blame?at", { ...BLAME, at: ABOUT_AT.at }],
  ["GET", "/v1/operators/:op/blame", BLAME],
  ["POST", "/v1/erasures", ERASED],
  ["GET", "/v1/erasures/:id", ERASED],
  ["GET", "/v1/operators/:op/partitions", [PARTITION]],
  ["GET", "/v1/operators/:op/partitions/:n", PARTITION],
  ["POST", "/v1/operators/:op/partitions/:n/snapshot", MANIFEST],
  ["GET", "/v1/operators/:op/partitions/:n/manifests", [orUnreadable(MANIFEST)]],
  ["GET", "/v1/operators/:op/partitions/:n/manifests/:manifest", MANIFEST],
  ["GET", "/v1/operators/:op/partitions/:n/pins", [{ manifest: "a number", name: "a text", since: "a text" }]],
  [
    "POST",
    "/v1/operators/:op/partitions/:n/manifests/:manifest/pin",
    { partition: "a number", manifest: "a number", name: "a text", pinned: "true" },
  ],
  [
    "DELETE",
    "/v1/operators/:op/partitions/:n/manifests/:manifest/pin",
    { partition: "a number", manifest: "a number", name: "a text", pinned: "false" },
  ],
  ["GET", "/v1/savepoints", [SAVEPOINT]],
  ["GET", "/v1/savepoints/:name", SAVEPOINT],
  ["PUT", "/v1/savepoints/:name", SAVEPOINT],
  ["DELETE", "/v1/savepoints/:name", { name: "a text", removed: "true" }],
  ["GET", "/v1/timelines", [TIMELINE]],
  ["GET", "/v1/timelines/:name", TIMELINE],
  ["PUT", "/v1/timelines/:name", TIMELINE],
  ["POST", "/v1/timelines/:name/replay", TIMELINE],
  ["DELETE", "/v1/timelines/:name", { name: "a text", removed: "a boolean" }],
  ["GET", "/v1/timelines/:name/promotion", ({ mode }) => previewOf(mode)],
  ["POST", "/v1/timelines/:name/promotion", ({ mode }) => ({ ...previewOf(mode), ...DONE })],
  ["DELETE", "/v1/timelines/:name/promotion", { name: "a text", state: "a text", switches: "a whole number" }],
  [
    "POST",
    "/v1/operators/:op/partitions/:n/verify",
    ({ equal }) => ({
      partition: "a number",
      equal: "a boolean",
      seq: "a number",
      manifest: "a number or null",
      ...(equal === true ? { replayedEvents: "a number", keys: "a number" } : {}),
    }),
  ],
  ["POST", "/v1/operators/:op/partitions/:n/evict", { partition: "a number", evicted: "true" }],
  [
    "POST",
    "/v1/operators/:op/partitions/:n/adopt",
    {
      partition: "a number",
      truth: "a text",
      seq: "a number",
      manifest: "a number or null",
      givenUp: { seqs: "anything", manifests: "anything" },
      passedOver: ["a text"],
    },
  ],
  [
    "POST",
    "/v1/operators/:op/recover",
    {
      operator: "a text",
      changed: "a boolean",
      complete: "a boolean",
      items: [{ partition: "a number", status: "a text" }],
    },
  ],
  ["GET", "/v1/operators/:op/quarantine", { items: [QUARANTINED], "cursor?": "a text" }],
  [
    "GET",
    "/v1/operators/:op/quarantine/groups",
    {
      items: [
        {
          type: "a text",
          "errorName?": "a text",
          error: "a text",
          events: "a number",
          first: "a text",
          since: "a text",
        },
      ],
      events: "a number",
      groups: "a number",
    },
  ],
  ["POST", "/v1/operators/:op/quarantine/retry", STEERED_MANY],
  ["POST", "/v1/operators/:op/quarantine/delete", STEERED_MANY],
  ["POST", "/v1/operators/:op/quarantine/:id/retry", STEERED],
  ["DELETE", "/v1/operators/:op/quarantine/:id", STEERED],
  [
    "GET",
    "/v1/doctor",
    { code: "a text", stores: [{ name: "a text", kind: "a text", ms: ["a number"], "error?": "a text" }] },
  ],
  ["GET", "/v1/overview", { at: "a text", operators: [{ name: "a text", partitions: [{ partition: "a number" }] }] }],
];
