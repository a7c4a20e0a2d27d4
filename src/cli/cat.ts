/** `keyframe cat FILE`: a snapshot, or a manifest with its archive, as NDJSON. Works without the app. */
import { brotli } from "../adapters/brotli.ts";
import { readArchive, readManifestObject } from "../engine/snapshot/manifest-object.ts";
import type { ReadSegment } from "../engine/log/archive.ts";
import { seq, stamp } from "../engine/base/ids.ts";
import { APPLIED, loggedText } from "../engine/log/outcome.ts";
import { lines, readDedup } from "../engine/snapshot/file-rest.ts";
import { stampTime } from "../engine/base/hybrid-clock.ts";
import { examples, NO, CommandError, YES, type AddCommand, type Cli } from "./command.ts";
import { openFile, type StoredFile } from "./file.ts";
import { findKey, stateItems, viewSnapshot, type SnapshotView, type StateItem } from "./snapshot-view.ts";
import { jsonLine } from "./text.ts";

interface Options {
  readonly state?: boolean;
  readonly events?: boolean;
  readonly footer?: boolean;
  readonly key?: string;
}

/** One line: the part it belongs to, and members that are JSON texts. */
type Line = Readonly<Record<string, string | undefined>>;

export const catCommand: AddCommand = (program, cli, done) => {
  program
    .command("cat")
    .description("Print a snapshot (.kfs), or a manifest and its archive of the log (.kfm), as NDJSON")
    .argument("<file>")
    .option("--state", "only the keys with their states")
    .option("--events", "only the events of the archive")
    .option("--footer", "only the footer of a snapshot, or the manifest")
    .option("--key <key>", "only this key's state or events")
    .option("--json", "without colours; automatic if the output isn't a terminal")
    .addHelpText(
      "after",
      examples(
        "keyframe cat full.kfs                     # everything",
        "keyframe cat full.kfs --key ada           # one key, found through the footer: one block is read",
        "keyframe cat 0000000012-….kfm --events    # what was logged, with outcomes",
        "keyframe cat full.kfs --state | jq .value",
      ),
    )
    .action(async (name: string, options: Options & { readonly json?: boolean }) => {
      const file = openFile(name);
      const found = file.kind === "snapshot" ? snapshotLines(file, options) : manifestLines(file, options);
      const any = await print(found, cli);
      done(any || options.key === undefined ? YES : NO);
    });
};

/** Returns whether there was anything. */
async function print(found: Iterable<Line>, { screen }: Cli): Promise<boolean> {
  let any = false;
  for (const line of found) {
    if (screen.closed) return true;
    await screen.print(jsonLine(line, screen.paint));
    any = true;
  }
  return any;
}

function* snapshotLines(file: StoredFile, { state, events, footer, key }: Options): Generator<Line> {
  if (events)
    throw new CommandError(`${file.name} is a snapshot: it holds state, not events; a .kfm file holds events`);
  const view = viewSnapshot(file);
  if (key !== undefined) {
    const item = findKey(view, key);
    if (item !== undefined) yield stateLine(item);
    return;
  }
  const all = !state && !footer;
  if (all || state) for (const item of stateItems(view)) yield stateLine(item);
  // If a snapshot has several files, the last one holds these lines.
  if (all && view.footer.part?.[1] !== 0) yield* restLines(view);
  if (all || footer) yield { part: '"footer"', bytes: String(file.bytes.length), footer: JSON.stringify(view.footer) };
}

function stateLine([key, entry]: StateItem): Line {
  if (entry === null) return { part: '"state"', key: JSON.stringify(key), gone: "true" };
  const { seq: at, stamp: by, text, timers } = entry;
  return {
    part: '"state"',
    key: JSON.stringify(key),
    seq: String(at),
    ...times(by),
    ...(timers === undefined ? {} : { timers: JSON.stringify(timers) }),
    value: text,
  };
}

/** The ids that make duplicates known, and the quarantined events. */
function* restLines({ rest, footer }: SnapshotView): Generator<Line> {
  const { prints, answers, ...range } = readDedup(footer, rest, brotli);
  const { first, last, repliesFrom, minutes } = range;
  const all = [...answers];
  const ids = Math.max(0, last - Math.max(first, footer.base + 1) + 1);
  const known = { first, last, ids, printBytes: prints.byteLength, repliesFrom, answers: all.length, minutes };
  yield { part: '"dedup"', ...texts(known) };
  for (const [at, outcome] of all) yield { part: '"answer"', seq: String(at), outcome };
  for (const text of lines(footer.quarantine, rest, brotli, "a quarantine block"))
    yield { part: '"quarantine"', ...texts(JSON.parse(text) as object) };
  for (const text of lines(footer.producers, rest, brotli, "a block of producers"))
    yield { part: '"producer"', ...texts(JSON.parse(text) as object) };
}

function* manifestLines(file: StoredFile, { state, events, footer, key }: Options): Generator<Line> {
  if (state)
    throw new CommandError(`${file.name} is a manifest: it holds events, not state; cat the .kfs files that it names`);
  const { manifest } = readManifestObject(file.bytes, brotli);
  const all = !events && !footer && key === undefined;
  if (all || footer) yield { part: '"manifest"', ...texts(manifest) };
  if (footer && !events && key === undefined) return;
  for (const segment of readArchive(file.bytes, brotli, seq(0))) {
    if (all) yield segmentLine(segment);
    yield* eventLines(segment, key);
  }
}

function segmentLine({ row, events }: ReadSegment): Line {
  const { payload: _, stats: __, stamp: at, ...shown } = row;
  return { part: '"segment"', ...texts({ ...shown, marks: events.marks }), ...times(at) };
}

function* eventLines({ row, events }: ReadSegment, wanted: string | undefined): Generator<Line> {
  const received = events.at.flatMap(([run, ms]) => Array.from({ length: run }, () => ms));
  for (const [i, event] of events.events.entries()) {
    const key = events.keys[i]!;
    if (wanted !== undefined && key !== wanted) continue;
    yield {
      part: '"event"',
      seq: String(row.seq + i),
      key: JSON.stringify(key),
      ...times(row.stamp),
      received: JSON.stringify(new Date(received[i]!).toISOString()),
      outcome: loggedText(events.outcomes.get(i) ?? APPLIED),
      event: JSON.stringify(event),
    };
  }
}

const times = (at: number): Line => ({ stamp: String(at), time: JSON.stringify(stampTime(stamp(at))) });

const texts = (members: object): Line =>
  Object.fromEntries(Object.entries(members).map(([name, value]) => [name, JSON.stringify(value)]));
