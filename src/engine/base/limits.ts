/**
 * Bounds of the engine that a user may meet, or that more than one file needs, with their reasons. Bytes are UTF-8
 * bytes, times are milliseconds.
 */

/** Restore points that a policy may ask for. Each of their files takes 75 bytes of a row in D1. */
export const KEPT_POINTS = 200;

/** One event as sent. The bound keeps any event well inside one row of the log. */
export const EVENT_BYTES = 256 * 1024;

/** Each of key, id and source. */
export const NAME_BYTES = 1024;

/** A text in the place of an event is parsed only up to this length, to tell what is wrong with it. Parsed values may
 *  take ten times the memory of the text. */
export const PARSED_CHARS = 4_000_000;

/** Depth of an event's nesting, the event itself included. */
export const EVENT_DEPTH = 64;

/** A body that is held whole: as bytes, then as a text, which may take two bytes a character. An isolate has 128 MB for
 *  all of its requests. Lines of NDJSON are decided as they arrive, so only the platform plan limits them. */
export const REQUEST_BYTES = 8_000_000;

/** Bodies that all requests of an isolate hold whole (503 too_many_bodies). Bodies with their texts and events take up to
 *  four times as much memory. */
export const HELD_BODY_BYTES = 16_000_000;

/** Timers of an operator. All of a key's pending ones are written with its state. */
export const TIMERS = 16;

/** Events of a JSON array, which must be held whole before any of its events counts. */
export const ARRAY_EVENTS = 100_000;

/** Bodies with `Prefer: handling=strict`, which must be held whole too. */
export const STRICT_BYTES = 1_000_000;

/** Events of a request that asks for each event's result. */
export const RESULT_EVENTS = 1_000;

/** Partitions of an operator. A batch of events, a scan, an export and a table of partitions call each partition once.
 *  The platform allows a request 10,000 calls. Its free plan allows 50 calls, so an operator there should have 40
 *  partitions at most. */
export const PARTITIONS = 256;

/** Calls to partitions that one request makes with its events, retries included. D1 and the request's other work need
 *  the rest (503 too_many_calls). */
export const CALLS = 8_000;

/** Calls to R2 after which a recovery from R2 leaves the next partitions to another request. One more partition may
 *  take some hundred calls. */
export const RECOVER_CALLS = 6_000;

/** Errors listed in one answer. */
export const LISTED_ERRORS = 100;

/** A gzip body that unpacks to more than GZIP_FREE_BYTES may unpack to this many times its size. Text seldom exceeds
 *  30. */
export const GZIP_RATIO = 200;

export const GZIP_FREE_BYTES = 16_000_000;

/** State of one key, as JSON. */
export const STATE_BYTES = 1024 * 1024;

/** Nesting of a state or reply. The bound also ends the walk over a cyclic value. */
export const STATE_DEPTH = 256;

/** Reply of one event that is kept for duplicates. */
export const REPLY_BYTES = 64 * 1024;

/** Kept replies of one partition, as held in memory. Beyond the bound the oldest replies go, and their ids stay. */
export const REPLIES_BYTES = 16 * 1024 * 1024;

/** Details of refusals, and errors of quarantined events, that duplicates hear, of one partition. Beyond the bound the
 *  oldest go, and the outcomes stay. */
export const DETAILS_BYTES = 16 * 1024 * 1024;

/** Memory of each kept text beside its characters: its place in a table, and the head of a text. */
export const KEPT_TEXT_BYTES = 64;

/** Quarantined events of one partition, with their keys and errors. Beyond either bound the partition takes no more
 *  events (503 quarantine_full). */
export const QUARANTINE_EVENTS = 10_000;

export const QUARANTINE_BYTES = 16 * 1024 * 1024;

/** Ids that a partition may keep (dedup.maxIds). With their table they take 42 MB of the 128 MB of an isolate, and a
 *  snapshot takes a copy of 24 MB. The table doubles beyond 1,048,576 ids. */
export const DEDUP_IDS = 1_000_000;

/** Numbering producers that a partition remembers (429 too_many_producers). Each producer takes 12 KB. */
export const PRODUCERS = 1_000;

/** Row of the log. D1 takes 2,000,000 bytes, and keys and outcomes stand beside the events. */
export const ROW_BYTES = 1_500_000;

/** Accepted events of one partition that aren't durable yet. The bound limits the memory that they take during an
 *  outage of D1. */
export const PENDING_BYTES = 8_000_000;

export const PENDING_EVENTS = 50_000;

/** One page of the tail when a partition opens. The page is held in memory, and D1 must send it within its 30 s. */
export const PAGE_BYTES = 4_000_000;

export const PAGE_ROWS = 2_000;

/** Tail in D1 that no snapshot covers. Reached only while R2 is down (503 log_full). */
export const TAIL_BYTES = 256_000_000;

/** Size at which a log database takes no more events (503 log_full). D1 ends at 10 GB. Openings, snapshots and writers
 *  that don't know the size yet need the rest. */
export const LOG_BYTES = 9_000_000_000;

/** Restore points of one partition in D1. Reached only while garbage collection fails for days. Beyond the bound a
 *  replaced snapshot becomes no restore point. */
export const POINTS = 1_000;

/** Pins of one partition. Each pin may hold a whole state in R2. */
export const PINS = 200;

/** Time that a caller waits for its events to be durable before it gets 503. */
export const COMMIT_WAIT_MS = 20_000;

/** Time of one attempt at a statement. After that the outcome is unknown and the statement is sent again. */
export const STORE_TIMEOUT_MS = 10_000;

/** Attempts to open before the caller gets 503. The next call opens again. */
export const OPEN_ATTEMPTS = 4;

/** Time without an answer of D1 after which a read first asks whether the epoch is still ours. */
export const FRESH_MS = 5_000;

/** Time that a read waits for D1's answer about the epoch. */
export const FRESH_ASK_MS = 1_000;

/** A high-water mark that is younger isn't written again by the first commit of an opening (high-water-mark.ts). */
export const MARK_MS = 600_000;

/** Time after which an object that the platform keeps on older code steps aside again for newer code (aside.ts).
 *  Stepping aside costs an opening. */
export const ASIDE_AGAIN_MS = 600_000;

/** Time that a caller waits for a verification, which may read a whole log. */
export const VERIFY_WAIT_MS = 25_000;

/** States that a partition holds in memory, by default. Isolates are shared and have 128 MB. */
export const MEMORY_BYTES = 8 * 1024 * 1024;

/** The most that an operator may ask for (memory). Ids, events under way and the code need the rest of the 128 MB. */
export const MEMORY_MOST = 100_000_000;

/** Memory of an entry beside its texts. */
export const ENTRY_BYTES = 150;

/** Times the memory budget. Changes since the last snapshot can't leave the memory, and beyond this multiple no event
 *  is taken (503 snapshot_behind). Reached only while R2 is down, or slower than the incoming events. */
export const CHANGED_BUDGETS = 4;

/** Ranges of objects that are fetched at a time. The platform opens six connections. */
export const FETCHES = 6;

/** Decoded blocks that are kept because the next key may stand in one of them. */
export const RECENT_BLOCKS = 8;

/** Keys that are loaded together. */
export const LOAD_KEYS = 5_000;

/** Approximate size of the states that are loaded together, for waiting events and for a replay. */
export const LOAD_BYTES = 8_000_000;

/** Approximate size of the states that a read loads together. The read's answer carries the states too. */
export const READ_BYTES = 4_000_000;

/** Compressed size of adjacent blocks that are fetched together if a file is read from one end to the other. */
export const RUN_BYTES = 1_000_000;

/** Blocks that are fetched together for single keys. One turn decodes them all, at about half a millisecond each. */
export const RUN_BLOCKS = 16;

/** Compressed size of a gap between two wanted blocks that is fetched with them. The gap costs less than another
 *  request. */
export const GAP_BYTES = 64 * 1024;

/** The sizes into which snapshot files and archives are cut. */
export interface Sizes {
  /** Uncompressed size of a block: the unit of compression, checksum and range reads. */
  readonly blockChars: number;
  /** Compressed size of one file of a full snapshot. A larger snapshot has several files. Each file is built in
   *  memory. */
  readonly fileBytes: number;
  /** Compressed log in one object of an archive. A larger archive has several objects. Each object is built in memory,
   *  and read whole. After an outage of R2 the log to archive is larger than the memory. */
  readonly archiveBytes: number;
  /** Files up to this size are fetched whole. */
  readonly wholeBytes: number;
  /** Ids of a file that take at least this size are read with the first event. A read-only instance skips them. */
  readonly idsBytes: number;
}

export const SIZES: Sizes = {
  blockChars: 64 * 1024,
  fileBytes: 8_000_000,
  archiveBytes: 8_000_000,
  wholeBytes: 256 * 1024,
  idsBytes: 256 * 1024,
};

/** Bytes to which a block or a payload may unpack: well above the largest that is written. The largest is one row of
 *  the log or one quarantined event, escaped once more. A file that claims more isn't ours, and would only take
 *  memory. */
export const UNPACKED_BYTES = 64_000_000;

/** Uncompressed size of a block of the archive. */
export const ARCHIVE_CHARS = 512 * 1024;

/** Characters of state up to which a verification runs by itself, because it reads all of them twice. A requested
 *  verification runs on any size. */
export const VERIFY_CHARS = 64_000_000;

/** Approximate bytes of a state scan's answer, for each partition and page at most. SCAN_ALL_BYTES bounds all
 *  partitions together. */
export const SCAN_BYTES = 2_000_000;

export const SCAN_ALL_BYTES = 8_000_000;

/** Savepoints that an app may have (409 too_many_savepoints). Each keeps two snapshots of every partition. */
export const SAVEPOINTS = 100;

/** Timelines of an app, former mains included. */
export const TIMELINES = 100;

/** A former main expires this long after it was replaced (LINE6). */
export const FORMER_MAIN_MS = 7 * 86_400_000;

/** The preview of a promotion counts so many changed keys of an operator, and names so many, within this time. */
export const CHANGED_KEYS = 10_000;
export const CHANGED_NAMED = 100;
export const CHANGED_MS = 5_000;

/** Changed keys that one pass of a read of the past holds, and their bytes. A range with more keys takes several
 *  passes. */
export const PASS = { keys: 20_000, bytes: 4_000_000 } as const;

/** Characters of the states that a page of an operator's changes gives, approximately. */
export const FEED_CHARS = 8_000_000;

/** Events that a page of an operator's changes looks at, over all partitions. */
export const FEED_SCAN = 200_000;

/** Characters of the states that a read by key returns. A character takes two bytes at most, and a call carries 32
 *  MiB. */
export const READ_CHARS = 12_000_000;

/** Characters of the log that one page of a key's history reads. If the key is rare, a page may have fewer events than
 *  requested. */
export const HISTORY_CHARS = 16_000_000;

/** Objects that one page of a key's history reads. A request may ask R2 a thousand times. */
export const HISTORY_OBJECTS = 100;

/** Events that a history page holds, in characters of the log. Parsed events take several times as much memory. The
 *  same bound holds for the events between the page's oldest event and the snapshot below it. */
export const HISTORY_HELD_CHARS = 3_000_000;

/** Characters of a history page's values. HISTORY_WORK_CHARS bounds all states that its handlers get and leave, because
 *  running handlers takes time. */
export const HISTORY_VALUE_CHARS = 4_000_000;

export const HISTORY_WORK_CHARS = 60_000_000;

/** Characters of quarantine entries in one answer. The next page has further entries. */
export const QUARANTINE_PAGE_CHARS = 4_000_000;

/** Connections of watchers to one partition, one for each key and isolate of the Worker. The platform ends at
 *  32,768. */
export const WATCHES = 10_000;

/** Streams of watchers in one isolate of the Worker (503 too_many_watchers). */
export const WATCHERS = 2_000;

/** Characters of the values that an isolate holds for its watchers, one value for each key. The isolate has other work
 *  too. */
export const WATCHED_CHARS = 24_000_000;

/** Interval of signs of life on a silent watcher stream. Without them an intermediary would end the stream. */
export const WATCH_BEAT_MS = 20_000;

/** Age at which a watcher stream ends and its reader comes back. The new stream checks the token again, and reaches the
 *  code and the object of that time. */
export const WATCH_MS = 3_600_000;

/** Time after which a watcher is disconnected if its partition can't be reached. A watcher that comes back hears
 *  why. */
export const WATCH_LOST_MS = 60_000;
