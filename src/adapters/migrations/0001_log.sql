-- The log of Keyframe. One statement decides each change, so every guard stands in its statement's own condition;
-- see d1-log.ts. WITHOUT ROWID: a row with a composite key costs one row written instead of two.

-- Which database this is, so that swapped or foreign bindings are noticed.
CREATE TABLE identity (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  app TEXT NOT NULL,
  name TEXT NOT NULL
);

CREATE TABLE timelines (
  name TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  floor INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO timelines VALUES ('main', 'open', 0);

-- How each operator was placed when it was first used; only in the first database. These rule over the code.
CREATE TABLE operators (
  timeline TEXT NOT NULL,
  operator TEXT NOT NULL,
  partitions INTEGER NOT NULL,
  hash TEXT NOT NULL,
  seed INTEGER NOT NULL,
  databases TEXT NOT NULL,
  created_at TEXT NOT NULL,
  PRIMARY KEY (timeline, operator)
) WITHOUT ROWID;

CREATE TABLE partitions (
  partition TEXT PRIMARY KEY,
  timeline TEXT NOT NULL,
  seed INTEGER NOT NULL,
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
  pins TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE segments (
  partition TEXT NOT NULL,
  seq INTEGER NOT NULL,
  last INTEGER NOT NULL,
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
  payload TEXT NOT NULL,
  PRIMARY KEY (partition, seq)
) WITHOUT ROWID;
