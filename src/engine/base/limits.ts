/** Every bound of the engine, with its reason. Bytes are UTF-8 bytes, times are milliseconds. */

/** Restore points that a policy may ask for; 75 bytes of a row in D1 for each of their files. */
export const KEPT_POINTS = 200;

/** One event as sent; keeps any event well inside one row of the log. */
export const EVENT_BYTES = 256 * 1024;

/** Key, id and source each. */
export const NAME_BYTES = 1024;

/** What stands in the place of an event is parsed only up to this length, to tell what is wrong with it: the values of a text
 *  may take ten times its memory. */
export const PARSED_CHARS = 4_000_000;

/** Nesting of an event, the event itself included. */
export const EVENT_DEPTH = 64;

/** A body that is held as a whole: as bytes, then as a text, which may take two bytes a character, while an isolate has 128 MB for all of
 *  its requests. Lines of NDJSON are decided as they come; what a platform plan lets through is their limit. */
export const REQUEST_BYTES = 8_000_000;

/** Bodies that are held as a whole, of all requests of an isolate (503 bodies_held). With their texts and events they take up to four times as
 *  much. */
export const HELD_BODY_BYTES = 16_000_000;

/** Events of a JSON array, which must be held as a whole before any of it counts. */
export const ARRAY_EVENTS = 100_000;

/** Bodies with `Prefer: handling=strict`, which must be held as a whole too. */
export const STRICT_BYTES = 1_000_000;

/** Events of a request that asks for each event's result. */
export const RESULT_EVENTS = 1_000;

/** Partitions of an operator: a batch of events, a scan, an export and a table of them call each once, and the platform allows a request
 *  10,000 calls (50 on its free plan, where an operator should have 40 at most). */
export const PARTITIONS = 256;

/** Calls to partitions that one request makes with its events, repeats included: what is left is for D1, and for what else the request
 *  asks (503 too_many_calls). */
export const CALLS = 8_000;

/** Calls to R2 after which a recovery from R2 leaves the next partitions to another request: one more partition may take some hundred. */
export const RECOVER_CALLS = 6_000;

/** Errors listed in one answer. */
export const LISTED_ERRORS = 100;

/** A gzip body may unpack to this many times its size beyond GZIP_FREE_BYTES; text seldom exceeds 30. */
export const GZIP_RATIO = 200;

export const GZIP_FREE_BYTES = 16_000_000;

/** State of one key, as JSON. */
export const STATE_BYTES = 1024 * 1024;

/** Nesting of a state or reply; also ends the walk over a cyclic one. */
export const STATE_DEPTH = 256;

/** Reply of one event that is kept for repeats. */
export const REPLY_BYTES = 64 * 1024;

/** Kept replies of one partition, as they are held in memory; beyond it the oldest go, their ids stay. */
export const REPLIES_BYTES = 16 * 1024 * 1024;

/** Details of refusals and errors of quarantined events that repeats get, of one partition; beyond it the oldest go, what
 *  became of the event stays. */
export const DETAILS_BYTES = 16 * 1024 * 1024;

/** What each of these takes beside its characters: its place in a table, and the head of a text. */
export const KEPT_TEXT_BYTES = 64;

/** Quarantined events of one partition, with their keys and errors; beyond either bound it takes no more events (503
 *  quarantine_full). */
export const QUARANTINE_EVENTS = 10_000;

export const QUARANTINE_BYTES = 16 * 1024 * 1024;

/** Ids that a partition may keep (dedup.maxIds): with their table they take 42 MB of the 128 MB of an isolate, and a snapshot takes
 *  a copy of 24 MB. The table doubles beyond 1,048,576. */
export const DEDUP_IDS = 1_000_000;

/** Numbering producers that a partition remembers (429 too_many_producers); 4 KB each. */
export const PRODUCERS = 1_000;

/** Row of the log; D1 takes 2,000,000 bytes, and keys and outcomes stand beside the events. */
export const ROW_BYTES = 1_500_000;

/** Events accepted but not yet durable, of one partition: what an outage of D1 may pile up in memory. */
export const PENDING_BYTES = 8_000_000;

export const PENDING_EVENTS = 50_000;

/** One page of the tail when a partition opens: held in memory, and sent by D1 within its 30 s. */
export const PAGE_BYTES = 4_000_000;

export const PAGE_ROWS = 2_000;

/** Tail in D1 that no snapshot covers: reached only while R2 is down (503 log_full). */
export const TAIL_BYTES = 256_000_000;

/** Size that a database of the log may reach before it takes no more events: D1 ends at 10 GB, and opening, snapshots and those
 *  who don't know yet need the rest (503 log_full). */
export const LOG_BYTES = 9_000_000_000;

/** Restore points of one partition in D1: reached only while sweeps fail for days; beyond it what is replaced is none. */
export const POINTS = 1_000;

/** Pins of one partition: each may hold a whole state in R2. */
export const PINS = 200;

/** How long a caller waits for its events to be durable before it hears 503. */
export const COMMIT_WAIT_MS = 20_000;

/** One attempt at a statement; after it the outcome is unknown and the statement is sent again. */
export const STORE_TIMEOUT_MS = 10_000;

/** Attempts to open before the caller hears 503. The next call opens anew. */
export const OPEN_ATTEMPTS = 4;

/** After this time without word from D1 a read first asks whether the epoch is still ours. */
export const FRESH_MS = 5_000;

/** How long that read waits for D1's word. */
export const FRESH_ASK_MS = 1_000;

/** A mark that is younger isn't written anew by the first commit of an opening (high-water-mark.ts). */
export const MARK_MS = 600_000;

/** After this time an object that the platform keeps on older code steps aside once more for newer code (aside.ts): it costs an opening. */
export const ASIDE_AGAIN_MS = 600_000;

/** How long a caller waits for a drill, which may read a whole log. */
export const VERIFY_WAIT_MS = 25_000;

/** States that a partition holds in memory, by default. Isolates are shared, and 128 MB are all there is. */
export const MEMORY_BYTES = 8 * 1024 * 1024;

/** The most that an operator may ask for (memory): ids, events under way and the code need the rest of the 128 MB. */
export const MEMORY_MOST = 100_000_000;

/** What an entry takes beside its texts. */
export const ENTRY_BYTES = 150;

/** Times the budget: what changed since the last snapshot can't leave the memory, and beyond this no event is taken (503
 *  snapshot_behind). Reached only while R2 is down, or slower than what comes in. */
export const CHANGED_BUDGETS = 4;

/** Ranges of objects that are fetched at a time: the platform opens six connections. */
export const FETCHES = 6;

/** Decoded blocks that are kept in case that the next key stands in one of them. */
export const RECENT_BLOCKS = 8;

/** Keys that are loaded together. */
export const LOAD_KEYS = 5_000;

/** About what the states come to that are brought into memory at a time, for events that wait and for a replay. */
export const LOAD_BYTES = 8_000_000;

/** The same for a read, whose answer carries them too. */
export const READ_BYTES = 4_000_000;

/** Adjacent blocks that are fetched together where a file is read from one end to the other, compressed. */
export const RUN_BYTES = 1_000_000;

/** Blocks that are fetched together for single keys: decoded in one turn, about half a millisecond each. */
export const RUN_BLOCKS = 16;

/** What lies between two blocks that are wanted, compressed, and is fetched with them: it costs less than another request. */
export const GAP_BYTES = 64 * 1024;

/** How snapshot files and archives are cut. */
export interface Sizes {
  /** Uncompressed size of a block: the unit of compression, checksum and range reads. */
  readonly blockChars: number;
  /** Compressed size of one file of a full snapshot; what is larger goes into several. Built in memory. */
  readonly fileBytes: number;
  /** Compressed log in one object of an archive; what is more goes into several. Built in memory, and read into it as a whole: after an
   *  outage of R2 the log to archive is larger than the memory. */
  readonly archiveBytes: number;
  /** Files up to this size are fetched whole. */
  readonly wholeBytes: number;
  /** Ids of a file that come to as much are read when the first event comes, not by who only reads. */
  readonly idsBytes: number;
}

export const SIZES: Sizes = {
  blockChars: 64 * 1024,
  fileBytes: 8_000_000,
  archiveBytes: 8_000_000,
  wholeBytes: 256 * 1024,
  idsBytes: 256 * 1024,
};

/** What a block or a payload may unpack to, in bytes: well above the largest that is written, one row of the log or one
 *  quarantined event escaped once more. What claims to be larger is no file of ours, and would only take the memory. */
export const UNPACKED_BYTES = 64_000_000;

/** Uncompressed size of a block of the archive. */
export const ARCHIVE_CHARS = 512 * 1024;

/** Characters of state up to which a drill runs by itself: it reads all of them twice. When somebody asks, it runs on any. */
export const DRILL_CHARS = 64_000_000;

/** A state scan answers about this many bytes per partition and page at most, and from all partitions together. */
export const SCAN_BYTES = 2_000_000;

export const SCAN_ALL_BYTES = 8_000_000;

/** States that are read by key come to at most this many characters, of two bytes at most: a call carries 32 MiB. */
export const READ_CHARS = 12_000_000;

/** Log that one page of a key's history reads, in characters: where the key is seldom, a page may have less than was asked for. */
export const HISTORY_CHARS = 16_000_000;

/** And objects that it reads for that: a request may ask R2 a thousand times. */
export const HISTORY_OBJECTS = 100;

/** Events that it holds, in characters of the log: parsed they take several times as much memory. The same again for those
 *  between its oldest event and the snapshot below it. */
export const HISTORY_HELD_CHARS = 3_000_000;

/** Values of a page, in characters; and all that its handlers were given and left, which takes time. */
export const HISTORY_VALUE_CHARS = 4_000_000;

export const HISTORY_WORK_CHARS = 60_000_000;

/** Entries of the quarantine in one answer, in characters: what is more comes with the next page. */
export const QUARANTINE_PAGE_CHARS = 4_000_000;

/** Connections of watchers to one partition, one for each key and isolate of the Worker; the platform ends at 32,768. */
export const WATCHES = 10_000;

/** Streams of watchers in one isolate of the Worker (503 too_many_watchers). */
export const WATCHERS = 2_000;

/** Values that an isolate holds for its watchers, one for each key, in characters: it has other work beside. */
export const WATCHED_CHARS = 24_000_000;

/** A stream of a watcher that is silent gives a sign of life this often, or something on the way would end it. */
export const WATCH_BEAT_MS = 20_000;

/** A stream ends after this time, and its reader comes back: with a token that must still be good, and to the code and the object of
 *  that time. */
export const WATCH_MS = 3_600_000;

/** A watcher whose partition can't be reached for so long is let go: what it hears when it comes back says why. */
export const WATCH_LOST_MS = 60_000;
