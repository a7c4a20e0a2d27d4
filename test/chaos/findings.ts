/*
 * Findings, in words, and what a run did, in numbers.
 */
const SHOWN = 50;

export class Findings {
  readonly list: string[] = [];
  /** Events that are missing, and events that counted more than once. */
  lost = 0;
  doubled = 0;

  add(what: string): void {
    if (this.list.length < SHOWN) this.list.push(what);
    else if (this.list.length === SHOWN) this.list.push("… and more");
  }
}

export class Tally {
  rounds = 0;
  kills = 0;
  /** While at least one snapshot was asked for and not answered. */
  duringSnapshots = 0;
  /** While some client had sent its first request since the restart and had no answer to any. */
  duringRecovery = 0;
  evictions = 0;
  /** Snapshots that were asked for and became current. */
  snapshots = 0;
  /** Partitions that came back from a snapshot and the log above it, as they stand at the end of each round. */
  fromSnapshots = 0;
  /** Different events, acknowledged. */
  events = 0;
  /** Events that were sent again after they had been acknowledged, or beside the first copy. */
  repeats = 0;
  /** Attempts that got no answer, or 503. */
  unanswered = 0;
  /** Races that a kill fell into. */
  racesCut = 0;
  credits = 0;
  granted = 0;
  promotions = 0;
  /** Promotions whose answer a kill took, and those of them that had switched main by then. */
  cut = 0;
  cutSwitched = 0;
  /** Promotions that were refused, since main had logged something since the preview. */
  moved = 0;
  undone = 0;
  rolledBack = 0;
  /** All partitions of all operators were split. */
  splits = 0;
  /** Events that promotions gave up. */
  givenUp = 0;
}
