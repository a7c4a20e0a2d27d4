CREATE TABLE events (
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  device TEXT NOT NULL,
  time TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (source, id)
) WITHOUT ROWID;
