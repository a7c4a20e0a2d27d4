-- The log of Keyframe. One statement decides each change, so every guard stands in its statement's own condition;
-- see d1-log.ts.
--
-- A table whose rows may be larger than about 1,000 bytes has an integer key. In a table WITHOUT ROWID every look-up compares whole
-- rows on its way down, and reads all pages of those that are larger. Both write one row for a row.

-- Which database this is, so that swapped or foreign bindings are noticed.
CREATE TABLE identity (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  app TEXT NOT NULL,
  name TEXT NOT NULL
);

-- The lines of history in this database. Rows are logged with a stamp above the line's floor: a line that is open takes
-- events, and one that is replaying takes in the rows of another line.
CREATE TABLE lines (
  line INTEGER PRIMARY KEY,
  state TEXT NOT NULL,
  floor INTEGER NOT NULL,
  -- Number of the last promotion that sealed or opened it.
  promotion INTEGER NOT NULL DEFAULT 0
);

INSERT INTO lines (line, state, floor) VALUES (1, 'open', 0);

-- The lines under their names; only in the first database. A line's number is never given again. The name is missing if
-- the line is main, or was.
CREATE TABLE timelines (
  line INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,
  parent INTEGER,
  at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  state TEXT NOT NULL,
  -- Number of the switch that replaced it as main, or 0.
  replaced INTEGER NOT NULL DEFAULT 0,
  -- The line whose log it replays, how outcomes are decided, and the code that decides them. Missing if it replays none.
  -- The outcomes are 'same' for a line that starts where the other one ends, once that is sealed for it.
  source INTEGER,
  outcomes TEXT,
  code TEXT,
  -- How many partitions share the keys of one partition of the parent, as JSON by operator. Missing if as many.
  split TEXT
);

INSERT INTO timelines (line, at, created_at, state) VALUES (1, 0, 0, 'ready');

-- Which line is main, and the last promotion; only in the first database.
CREATE TABLE directory (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  main INTEGER NOT NULL,
  switches INTEGER NOT NULL,
  state TEXT NOT NULL,
  promotion INTEGER NOT NULL,
  target INTEGER,
  former INTEGER,
  begun_at INTEGER NOT NULL,
  etag TEXT,
  done TEXT
);

INSERT INTO directory VALUES (1, 1, 0, 'idle', 0, NULL, NULL, 0, NULL, NULL);

-- How each operator was placed when it was first used; only in the first database. These rule over the code.
CREATE TABLE operators (
  line INTEGER NOT NULL,
  operator TEXT NOT NULL,
  partitions INTEGER NOT NULL,
  hash TEXT NOT NULL,
  seed INTEGER NOT NULL,
  databases TEXT NOT NULL,
  created_at TEXT NOT NULL,
  -- The stamp that the operator is being recovered to, which closes it until all partitions are there, or was recovered to.
  recovering INTEGER,
  recovered INTEGER,
  PRIMARY KEY (line, operator)
);

-- The number of each partition in this database. A number outlives the partition's row, so that a row that is rebuilt finds its log,
-- and is never given twice, so that no partition finds another one's.
CREATE TABLE numbers (
  number INTEGER PRIMARY KEY AUTOINCREMENT CHECK (number < 1048576),
  partition TEXT NOT NULL UNIQUE
);

CREATE TABLE partitions (
  number INTEGER PRIMARY KEY,
  partition TEXT NOT NULL UNIQUE,
  line INTEGER NOT NULL,
  seed INTEGER NOT NULL,
  -- The log begins above this seq. Below it is the log of the line that this one starts from.
  start_seq INTEGER NOT NULL DEFAULT 0,
  epoch INTEGER NOT NULL,
  writer TEXT NOT NULL,
  code TEXT NOT NULL,
  version INTEGER NOT NULL,
  attempt TEXT NOT NULL,
  snapshot_seq INTEGER NOT NULL,
  snapshot_stamp INTEGER NOT NULL,
  manifest TEXT,
  previous_seq INTEGER NOT NULL,
  previous TEXT,
  pins TEXT NOT NULL,
  -- State at any stamp from this one on can be read: the newest restore point at or below it, and the archive above that.
  retain_from INTEGER NOT NULL DEFAULT 0,
  -- Archives of manifests below this version are given up.
  archive_from INTEGER NOT NULL DEFAULT 0
);

-- place: number of the partition << 43 | seq of the row's first event.
CREATE TABLE segments (
  place INTEGER PRIMARY KEY,
  last INTEGER NOT NULL CHECK (last < 8796093022208),
  stamp INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  grp TEXT NOT NULL,
  format INTEGER NOT NULL,
  operator_version INTEGER NOT NULL,
  code TEXT NOT NULL,
  codec TEXT NOT NULL,
  checksum INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  stats TEXT NOT NULL,
  payload TEXT NOT NULL
);

-- Events whose outcome another line decided otherwise when it replayed them. place: number of that line's partition << 43 | seq.
CREATE TABLE changed_outcomes (
  place INTEGER PRIMARY KEY,
  key TEXT NOT NULL,
  id TEXT NOT NULL,
  was TEXT NOT NULL,
  now TEXT NOT NULL,
  -- CRC-32 of the row. The sum over a list tells it from other lists.
  print INTEGER NOT NULL
);

-- Snapshots that were current, whose state files are kept. place: number of the partition << 43 | manifest version.
CREATE TABLE restore_points (
  place INTEGER PRIMARY KEY,
  attempt TEXT NOT NULL,
  seq INTEGER NOT NULL,
  stamp INTEGER NOT NULL,
  files TEXT NOT NULL,
  intact INTEGER NOT NULL,
  replaced_at INTEGER NOT NULL
);

-- Who holds which restore point, or the current snapshot: retention gives up none that anybody holds.
CREATE TABLE pins (
  partition TEXT NOT NULL,
  version INTEGER NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (partition, version, name)
) WITHOUT ROWID;

-- Named moments over all operators: retention keeps what a read of them needs. The first database gives the numbers; the others
-- hold the same rows.
CREATE TABLE savepoints (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  line INTEGER NOT NULL,
  name TEXT NOT NULL,
  at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  state TEXT NOT NULL,
  UNIQUE (line, name)
);

-- Erasures that were logged: what proves one when all that named its key is gone. Nothing in it is of the key.
CREATE TABLE erasures (
  partition TEXT NOT NULL,
  seq INTEGER NOT NULL,
  incarnation INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (partition, seq, incarnation)
) WITHOUT ROWID;
