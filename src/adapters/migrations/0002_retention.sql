-- Retention (SNAP10, TIME3). Only added to: code that doesn't know of it runs on beside code that does.

-- State at any stamp from here on can be read: the newest restore point at or below it, and the archive above that.
ALTER TABLE partitions ADD COLUMN retain_from INTEGER NOT NULL DEFAULT 0;
-- Archives of manifests below this version are given up.
ALTER TABLE partitions ADD COLUMN archive_from INTEGER NOT NULL DEFAULT 0;

-- Snapshots that were current, whose state files are kept.
CREATE TABLE restore_points (
  partition TEXT NOT NULL,
  version INTEGER NOT NULL,
  attempt TEXT NOT NULL,
  seq INTEGER NOT NULL,
  stamp INTEGER NOT NULL,
  files TEXT NOT NULL,
  whole INTEGER NOT NULL,
  replaced_at INTEGER NOT NULL,
  PRIMARY KEY (partition, version)
) WITHOUT ROWID;

-- Who holds which restore point, or the current snapshot: retention gives up none that anybody holds.
CREATE TABLE pins (
  partition TEXT NOT NULL,
  version INTEGER NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (partition, version, name)
) WITHOUT ROWID;
