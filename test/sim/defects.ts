/**
 * The planted defects: small, plausible ways of getting it wrong, most of them from the models of the protocol (A1 to
 * A15, B10), each as the lines of the sources that it replaces. The simulator must find every one.
 */
import { COMMAND_DEFECTS } from "./command-defects.ts";
import { engine, one, rare, type Defect, type Patch } from "./plant.ts";
import { STATE_DEFECTS } from "./state-defects.ts";
import { TIMER_DEFECTS } from "./timer-defects.ts";

const log = (find: string, replace: string): Patch => ({ file: "src/testkit/memory-log.ts", find, replace });
const savepoints = (find: string, replace: string): Patch => ({
  file: "src/testkit/memory-savepoints.ts",
  find,
  replace,
});

export const DEFECTS: readonly Defect[] = [
  // ---- the log ----
  one(
    "the append's guard leaves out the epoch",
    "LOG2",
    log('    if (under !== this.#held()) return "refused";\n', ""),
  ),
  one(
    "the append's guard leaves out head and stamp",
    "LOG2, A2",
    log("row.seq !== head + 1 || row.stamp <= last || ", ""),
  ),
  one(
    "an error of a commit counts as done",
    "LOG3, LOG1",
    engine(
      "log/append",
      "      // Only what went wrong for long",
      '      if (attempt === 0) return { tag: "committed", stamp: rows[0]!.stamp, superseded: null };\n      // Only what went wrong for long',
    ),
  ),
  one(
    "an error of a commit counts as failed, and the group is forgotten",
    "LOG3, A1",
    engine(
      "log/append",
      "      // Only what went wrong for long",
      '      return { tag: "failed" } as never;\n      // Only what went wrong for long',
    ),
    engine("partition/group-commit", "import { messageOf }", "import { Failure, messageOf }"),
    engine(
      "partition/group-commit",
      '        if (result.tag === "fenced") return lease.fence(result.why);',
      `        if (result.tag === "fenced") return lease.fence(result.why);
        if ((result as { tag: string }).tag === "failed") {
          group.fail(new Failure("store_unavailable", "failed"));
          this.#committing = null;
          continue;
        }`,
    ),
  ),
  one(
    "events are acknowledged before their commit",
    "LOG1",
    engine(
      "partition/partition",
      "await this.#groups.durable(admission, Math.max(1, deadline - clock.now()));\n",
      "true;\n",
    ),
  ),
  one(
    "a duplicate of a pending event is answered at once",
    "ONE1, A13",
    engine("partition/group", "        if (heard.until > until) until = heard.until;\n", ""),
  ),
  one(
    "reads show a group before its commit",
    "LOG1",
    engine(
      "partition/group-commit",
      "        const result = await append(",
      "        group.show(rows[0]!.stamp);\n        const result = await append(",
    ),
    engine(
      "partition/group-commit",
      "        group.settle(result.stamp, host.watchers?.() ?? null);",
      "        group.answer();",
    ),
    engine(
      "partition/group",
      "  fail(why: unknown): void {",
      "  answer(): void {\n    this.#resolve();\n  }\n\n  show(first: Stamp): void {\n    const resolve = this.#resolve;\n    this.#resolve = () => undefined;\n    this.settle(first);\n    this.#resolve = resolve;\n  }\n\n  fail(why: unknown): void {",
    ),
  ),
  one(
    "row and tail are read before the epoch is taken",
    "LOG2, A12",
    engine(
      "recovery/open-log",
      "  const opening = unborn ? null : await take();",
      `    const seen = await persistent(clock, "D1", () => log.peek());
    const taken = unborn ? null : await take();
    const opening = seen === null || taken === null ? taken : { ...seen, row: { ...seen.row, epoch: taken.row.epoch } };`,
    ),
  ),
  one(
    "a writer's first append takes no epoch",
    "LOG2",
    engine("partition/group-commit", "const next = asEpoch(held + 1);", "const next = held;"),
  ),
  one(
    "a read catches up with a group of its own that it hasn't heard of yet",
    "LOG1, LOG4",
    engine(
      "log/fence",
      '  if (groups.isOurs(known.group)) return { tag: "ours" };\n  if (!groups.begun) return',
      "  return",
    ),
    engine(
      "partition/opener",
      "    if (this.#groups.begun) this.#lease.fence(`another",
      "    if (head < 0) this.#lease.fence(`another",
    ),
  ),
  rare(
    "a tail in pages is read without looking at the epoch again, and without looking for holes",
    "LOG2, LOG4, A12",
    engine("recovery/replay", "  assertOurs(row.epoch,", "  if (page.epoch < row.epoch) assertOurs(row.epoch,"),
    engine("recovery/replay", "if (first !== undefined && first.seq > at() + 1)", "if (Number.isNaN(at()))"),
    engine("state/state-machine", "    if (row.seq !== after + 1)", "    if (row.seq < after + 1)"),
  ),
  one(
    "a reader that catches up skips a row of one event",
    "LOG4",
    engine(
      "recovery/replay",
      "    const rows = page.rows.filter((row) => row.last > machine.seq);",
      "    if (page.rows.at(-1)?.last === machine.seq + 1) machine.seq = page.rows.at(-1)!.last;\n    const rows = page.rows.filter((row) => row.last > machine.seq);",
    ),
  ),
  one(
    "a superseded instance still answers reads",
    "LOG2",
    engine(
      "partition/partition",
      "    if (clock.now() - this.#heardAt < FRESH_MS && !open.sealed) return open;",
      "    if (clock.now() >= this.#heardAt) return open;",
    ),
  ),
  one(
    "an object that has ended continues its commit",
    "LOG2",
    engine("log/append", "    if (ended()) return", "    if (attempt < 0 && ended()) return"),
  ),
  rare(
    "an object that has ended still takes an epoch",
    "LOG2",
    engine(
      "recovery/open-log",
      "      lease.assertNotLost();\n      return log.open(writer, env.code);",
      "      return log.open(writer, env.code);",
    ),
  ),

  // ---- exactly once ----
  one(
    "what decides about repeats isn't in the snapshot",
    "ONE3, A13",
    engine(
      "snapshot/capture",
      "    dedup: machine.dedup.image(machine.seq, base),",
      "    dedup: { ...machine.dedup.image(machine.seq, base), first: machine.seq + 1, prints: new Uint32Array(0), answers: [] },",
    ),
  ),
  one(
    "ids that aren't durable yet are in the snapshot",
    "SNAP1",
    engine(
      "snapshot/capture",
      "    dedup: machine.dedup.image(machine.seq, base),",
      "    dedup: machine.dedup.image((machine.seq + 1) as Seq, base),",
    ),
  ),
  one(
    "replies aren't in the snapshot",
    "ONE3",
    engine("state/answers", "replies: this.#replies.image(from, to)", "replies: this.#replies.image(to + 1, to)"),
  ),
  rare(
    "ids expire by the wall clock",
    "ONE3",
    engine(
      "partition/group-commit",
      "    const below = this.#committing;",
      "    open.machine.dedup.committed(open.machine.seq, this.#env.clock.now());\n    const below = this.#committing;",
    ),
  ),
  one(
    "the same id with other content passes for a duplicate",
    "ONE4",
    engine("state/dedup", '      : { tag: "reused", seq: found };', '      : { tag: "duplicate", seq: found };'),
  ),
  one(
    "a quarantined event is decided anew at replay",
    "ONE6",
    engine(
      "state/state-machine",
      'logged !== undefined && logged.tag !== "applied"',
      'logged !== undefined && logged.tag === "refused"',
    ),
  ),
  one(
    "a refused event is decided anew at replay",
    "ONE6",
    engine(
      "state/state-machine",
      'logged !== undefined && logged.tag !== "applied"',
      'logged !== undefined && logged.tag === "quarantined"',
    ),
  ),
  one("outcomes aren't logged", "ONE6", engine("partition/group", "      row.writer.outcome(outcome);\n", "")),
  one(
    "chance isn't seeded by the event",
    "ONE5",
    engine(
      "state/handler",
      "this.#random ??= generator(this.#prints, this.#at);\n    const words",
      "this.#random ??= () => Math.floor(Math.random() * 2 ** 32);\n    const words",
    ),
  ),
  one(
    "a handler that throws leaves its marks",
    "IN4",
    engine("state/handler", "  const working = copyJson(dirtyKey.value);", "  const working = dirtyKey.value;"),
  ),
  one(
    "a second command finds what a pending one has taken out",
    "ONE6",
    engine(
      "state/quarantine",
      "const decision = this.#decided.get(target);",
      "const decision = undefined as Decision | undefined;",
    ),
  ),

  // ---- snapshots ----
  one("the log is cut up to the new snapshot", "LOG5, A5", log("one.last > to.cutSeq", "one.last > to.seq")),
  one("the log is cut one row too far", "LOG5", log("one.last > to.cutSeq", "one.seq > to.cutSeq + 1")),
  one(
    "a promotion's guard leaves out the version",
    "SNAP2, A3",
    log("this.#held() !== to.epoch || row.version !== to.version", "this.#held() !== to.epoch"),
  ),
  one(
    "a promotion's guard leaves out the epoch",
    "SNAP2, A4",
    log("this.#held() !== to.epoch || row.version !== to.version", "row.version !== to.version"),
  ),
  one(
    "a refused promotion still cuts the log",
    "SNAP2, A4",
    log(
      'if (this.#held() !== to.epoch || row.version !== to.version || to.seq > this.#head().seq) return "refused";',
      `if (this.#held() !== to.epoch || row.version !== to.version) {
      this.#db.segments.set(this.#name, this.#segments.filter((one) => one.last > to.previousSeq));
      return "refused";
    }`,
    ),
  ),
  one(
    "the objects of a snapshot of unknown outcome are deleted",
    "SNAP2, A10",
    engine(
      "checkpoint/checkpoint",
      '  return {\n    tag: "failed",\n    why: `D1 did not',
      '  await env.objects.delete([manifest.snapshot.name, manifest.archive.name]);\n  return {\n    tag: "failed",\n    why: `D1 did not',
    ),
  ),
  one(
    "displaced files are deleted before the promotion",
    "SNAP2",
    engine(
      "checkpoint/checkpoint",
      "  const { ageMs } = env.operator.snapshot.retain;\n",
      "  const { ageMs } = env.operator.snapshot.retain;\n  if (ground.row.previous !== null) await env.objects.delete([readManifest(ground.row.previous, env.codec.crc32).snapshot.name]);\n",
    ),
  ),
  one(
    "names of objects are used twice",
    "SNAP2",
    engine(
      "base/ids",
      "  return `${fixed(epoch, 10)}-${fixed(attempt, 6)}-${nonce}`;",
      "  return `${fixed(epoch, 10)}-${attempt < 0 ? nonce : 0}`;",
    ),
  ),
  one(
    "the archive is not waited for",
    "LOG5, A5",
    engine(
      "checkpoint/checkpoint",
      "    await putPiece(env, name, piece.file.bytes(codec.encode(`${text}\\n`)));",
      "    putPiece(env, name, piece.file.bytes(codec.encode(`${text}\\n`))).catch(() => undefined);",
    ),
  ),
  one(
    "the archive holds the first page only",
    "LOG5",
    engine(
      "checkpoint/checkpoint",
      "    after = rows.at(-1)!.last;\n  }\n  yield { ...piece",
      "    after = to;\n  }\n  yield { ...piece",
    ),
  ),
  one(
    "the checksum of a block isn't looked at",
    "SNAP3",
    engine("base/block", "  if (codec.crc32(bytes) !== crc) throw", "  if (crc < 0) throw"),
  ),
  one(
    "a generation that is known to be corrupt counts",
    "SNAP4, A8",
    engine(
      "recovery/recovery",
      "whole: base.manifest,",
      "whole: opening.row.manifest === null ? base.manifest : (JSON.parse(opening.row.manifest) as typeof base.manifest),",
    ),
  ),
  one(
    "the quarantine isn't in the snapshot",
    "SNAP1",
    engine(
      "snapshot/capture",
      "    quarantine: base === 0 ? machine.quarantine.list() : machine.quarantine.changes(base),",
      "    quarantine: [],",
    ),
  ),
  one(
    "waking takes no snapshot",
    "SNAP6",
    engine("partition/partition", "      this.#checkpoints.schedule(open);\n      await", "      await"),
  ),

  // ---- deltas ----
  one(
    "a delta holds what changed since the last attempt, not since the manifest that is current",
    "SNAP2, A11",
    engine(
      "checkpoint/checkpointer",
      "    const result = await checkpoint(",
      "    const before = open.machine.seq;\n    void Promise.resolve().then(() => [...open.machine.saving(before)]);\n    const result = await checkpoint(",
    ),
  ),
  one(
    "what was removed isn't in the delta",
    "SNAP1",
    engine(
      "snapshot/file-writer",
      "    if (this.#lines.length === 0) this.#first = key;",
      "    if (entry === null) return false;\n    if (this.#lines.length === 0) this.#first = key;",
    ),
  ),
  one(
    "a delta makes the manifest before it the older generation",
    "SNAP4, A6",
    engine(
      "checkpoint/checkpoint",
      'manifest.kind === "delta" ? ground.row : olderGeneration(ground.whole)',
      "olderGeneration(ground.whole)",
    ),
  ),
  one(
    "after a fall-back the next snapshot builds on a corrupt file",
    "SNAP4",
    engine(
      "checkpoint/checkpointer",
      "renew || whole?.attempt !== row.attempt || whole.operatorVersion",
      "whole === null || whole.operatorVersion",
    ),
  ),
  one(
    "the files that a delta builds on are collected",
    "SNAP2",
    engine(
      "checkpoint/garbage-collection",
      "stateFiles(readManifest(text, codec.crc32)).map(({ name }) => name)",
      "stateFiles(readManifest(text, codec.crc32)).slice(-1).map(({ name }) => name)",
    ),
    engine(
      "checkpoint/garbage-collection",
      "...points.flatMap(({ files }) => files)",
      "...points.flatMap(({ files }) => files.slice(-1))",
    ),
  ),
  // ---- garbage collection ----
  one(
    "garbage collection takes all that no root reaches, of any epoch and age",
    "SNAP10, A9",
    engine("checkpoint/garbage-collection", "!reached.has(name) && isPast(name, roots.row)", "!reached.has(name)"),
  ),
  one(
    "garbage collection looks at the current generation only",
    "SNAP10, SNAP4",
    engine("checkpoint/garbage-collection", "[row.manifest, row.previous, ...pinTexts(row.pins)]", "[row.manifest]"),
    engine("checkpoint/garbage-collection", "...points.flatMap(({ files }) => files)", ""),
  ),
  one(
    "garbage collection doesn't know restore points",
    "SNAP10, TIME3",
    engine("checkpoint/garbage-collection", "[...named, ...points.flatMap(({ files }) => files)]", "named"),
  ),
  one(
    "a superseded writer still collects garbage",
    "SNAP10, A9",
    log(
      "if (!(this.#held() === to.epoch && row.version === to.version)) return null;",
      "if (row.version !== to.version) return null;",
    ),
    engine(
      "checkpoint/garbage-collection",
      "superseded(epoch, before?.row ?? null)",
      "superseded(before?.row.epoch ?? epoch, before?.row ?? null)",
    ),
    engine("checkpoint/garbage-collection", "const change = { epoch: row.epoch,", "const change = { epoch: mine,"),
    engine("checkpoint/garbage-collection", "giveUp(env, before!)", "giveUp(env, before!, epoch)"),
    engine(
      "checkpoint/garbage-collection",
      "async function giveUp(env: Environment, { row, points, pins, savepoints }: Roots)",
      "async function giveUp(env: Environment, { row, points, pins, savepoints }: Roots, mine: Epoch)",
    ),
  ),

  // ---- the past ----
  one(
    "a read of the past takes rows above the moment",
    "TIME3",
    engine("recovery/past-state", "loaded, ({ stamp }) => stamp <= at,", "loaded, () => true,"),
  ),
  one(
    "a read of the past begins above the moment",
    "TIME3",
    engine(
      "recovery/past-state",
      "keptSnapshots(env, roots).filter(({ stamp }) => stamp <= at)",
      "keptSnapshots(env, roots)",
    ),
  ),
  one(
    "a moment counts before the floors are up",
    "TIME2, B3",
    engine("history/settle", "floor.raise(stamp(Math.max(at, quiet)))", "Promise.resolve()"),
  ),
  one(
    "now is what the clocks say",
    "TIME2, B5",
    engine("history/settle", "Math.max(present, ...(await ask((floor) => floor.newest())))", "present"),
  ),
  one(
    "a range of the past ends with its first pass",
    "PAST3",
    engine("history/past", "    if (end === null) return;\n", "    return;\n"),
  ),
  one(
    "keys that a pass left out are shown half-way",
    "PAST3",
    engine("history/past", "(end === null || compareUtf8(key, end) <= 0)", "true"),
  ),

  // ---- retention ----
  one(
    "retention passes a pin",
    "SNAP10, B10",
    log("!to.drop.includes(version) || this.#pinned(version)", "!to.drop.includes(version)"),
  ),
  one(
    "a pin doesn't look at what retention has given up",
    "SNAP10, B10",
    log('!kept.points.some(({ version }) => version === pin.version)) return "gone"', 'pin.version < 0) return "gone"'),
  ),
  one(
    "nothing has a grace",
    "SNAP10",
    engine("checkpoint/retention", "clockMs - replacedMs >= GRACE_MS", "clockMs >= replacedMs"),
  ),
  one(
    "grace begins when a snapshot is no longer current, though the row still names it",
    "SNAP10",
    engine(
      "checkpoint/checkpoint",
      "for (const text of [...gone, row.manifest])",
      "for (const text of [row.manifest])",
    ),
  ),
  one(
    "archives expire that the older generation needs",
    "LOG5, SNAP4",
    engine(
      "checkpoint/retention",
      "free ? Math.min(base.version, ...named.map(lowestBelow))",
      "base !== null ? base.version",
    ),
  ),
  one(
    "archives expire that a read of the past begins below",
    "TIME3",
    engine(
      "checkpoint/retention",
      "Math.min(base.version, ...named.map(lowestBelow))",
      "Math.min(...named.map(lowestBelow))",
    ),
  ),
  one(
    "the snapshot at or before the retention time goes",
    "TIME3",
    engine("checkpoint/retention", "...(base === null ? [] : [base.version]),", ""),
  ),
  one(
    "the newest snapshot of an hour isn't kept",
    "retain",
    engine("checkpoint/retention", "    ...newestOfEach(moments, nowMs, HOUR_MS, hourly),\n", ""),
  ),
  one(
    "archives of restore points expire",
    "SNAP10",
    engine(
      "checkpoint/garbage-collection",
      "made.version < archiveFrom && !kept.has(made.attempt)",
      "made.version < archiveFrom && kept.size >= 0",
    ),
  ),
  one(
    "what is given up stays where it is",
    "SNAP10",
    engine("checkpoint/garbage-collection", "if (garbage.length > 0) await", "if (garbage.length > 1_000) await"),
  ),

  // ---- producers ----
  one(
    "marks of producers aren't in the snapshot",
    "ONE2, ONE3",
    engine("snapshot/capture", "    producers: machine.producers.image(base),", "    producers: [],"),
  ),
  one(
    "a request's mark is its number alone",
    "ONE2, A14",
    engine("partition/group", "forgetful && indexes![i]! <= taken ?", "taken >= 0 ?"),
  ),
  one(
    "a number decides while the ids of its request are known",
    "ONE2",
    engine("partition/group", "producers.from(producer) < dedup.first", "taken >= 0"),
  ),
  rare(
    "a number decides nothing where the ids of its request are forgotten",
    "ONE2",
    engine("partition/group", "producers.from(producer) < dedup.first", "taken < 0"),
  ),
  one(
    "only the highest number of a producer counts",
    "ONE2",
    engine(
      "state/producers",
      "    return number > this.highest ||",
      "    return number < this.highest ? 1_000_000 : number > this.highest ||",
    ),
  ),
  rare(
    "marks aren't replayed from the log",
    "ONE2",
    engine("state/state-machine", "for (const mark of events.marks) this.producers.set(mark, row.last);", ";"),
  ),

  // ---- keys that are not in memory ----
  one(
    "what changed isn't kept until its snapshot is current",
    "SNAP11, A15",
    engine(
      "checkpoint/checkpointer",
      "    const result = await checkpoint(",
      "    for (const _ of open.machine.saving(captured.seq));\n    const result = await checkpoint(",
    ),
  ),
  one(
    "keys are read from the files of the snapshot before",
    "SNAP11",
    engine("recovery/open-partition", "    this.loader.replace(stored);\n", ""),
  ),
  one(
    "a key that is gone in the newest file is looked for in the older ones",
    "SNAP1",
    engine(
      "snapshot/stored-state",
      "            if (line < 0) next.push({ key, file });",
      "            if (entry === null) next.push({ key, file });",
    ),
  ),
  one(
    "a filter leaves out every tenth key",
    "SNAP1",
    engine(
      "snapshot/bloom-filter",
      "    for (let key = 0; key < this.#places.length; key++) {",
      "    for (let key = 0; key < this.#places.length; key++) {\n      if (key % 10 === 9) continue;",
    ),
  ),
  one(
    "a state counts as complete though some of it was dropped",
    "SNAP11",
    engine("state/keyed-state", "    this.#complete = false;\n", ""),
  ),
  one(
    "compaction leaves out what changed since the last snapshot",
    "SNAP1",
    engine("checkpoint/checkpoint", 'entries("", captured.entries, false)', 'entries("", [], false)'),
  ),
  one(
    "a scan shows what stands in the files only",
    "LOG1",
    engine("snapshot/reads", "stored.entries(from, overlay, keep)", "stored.entries(from, [], keep)"),
  ),
  one(
    "what the cache holds isn't checked",
    "SNAP3",
    engine("snapshot/range-reader", "kept === null || (kept.length === length && codec.crc32(kept) === crc)", "true"),
  ),
  one(
    "a file that was found corrupt is read again by the next instance",
    "SNAP4",
    engine("partition/partition", "    cache.distrust(damage.object!);\n", ""),
  ),

  // ---- the Worker ----
  one("what a busy partition left undecided counts as decided", "LOG1", {
    file: "src/worker/ingest/intake.ts",
    find: "    for (const place of draft.places) batch.bits[place]! |= UNDECIDED;\n",
    replace: "",
  }),
  ...COMMAND_DEFECTS,
  ...STATE_DEFECTS,
  one(
    "rows that a promotion cuts between two pages end a read of the past",
    "TIME3, LOG4",
    engine(
      "recovery/replay",
      "    page = await nextPage(env, opening.row, at());\n  }\n",
      "    page = await nextPage(env, opening.row, at());\n    break;\n  }\n",
    ),
    engine("recovery/replay", "if (first !== undefined && first.seq > at() + 1)", "if (Number.isNaN(at()))"),
  ),
  one(
    "a diff leaves out what a snapshot between the moments covers",
    "DIFF1",
    engine(
      "history/differences",
      "kept.findLast(({ stamp }) => stamp <= above)",
      "kept.findLast(({ stamp }) => stamp <= upTo)",
    ),
  ),
  one(
    "a diff ends with its first pass",
    "DIFF3",
    engine("history/differences", "    if (end === null) return;\n", "    return;\n"),
  ),
  one(
    "a diff takes the keys that the earlier moment had room for, whatever the later one had",
    "DIFF3",
    engine("history/differences", "left.range.covers(key) && right.range.covers(key)", "left.range.covers(key)"),
  ),
  one(
    "an attempt at a snapshot writes to R2 before the mark knows of its rows",
    "MARK3",
    engine("checkpoint/checkpointer", "    await this.#events.attempted(open);\n", ""),
  ),
  one(
    "a check decides anew what no handler decided: the condition of an edit, and a bound",
    "MACHINE5",
    engine("state/state-machine", "this.anew === null || stands(logged, command)", "this.anew === null"),
  ),

  // ---- savepoints ----
  one(
    "retention gives up what savepoints need",
    "RETENTION6",
    engine("checkpoint/retention", "kept.add(from).add(base).add(to)", "kept.add(from)"),
  ),
  one(
    "archives beside a savepoint expire",
    "RETENTION6, LOG5",
    engine(
      "checkpoint/garbage-collection",
      "made.version > from && made.version <= to",
      "made.version > from && made.version < from + to * 0",
    ),
  ),
  one(
    "retention passes a savepoint that it doesn't know",
    "SAVEPOINT2, B10",
    log("    if (JSON.stringify(savepoints) !== JSON.stringify(to.savepoints)) return this.roots();\n", ""),
  ),
  one(
    "a savepoint doesn't look at what retention has given up",
    "SAVEPOINT2, B10",
    savepoints("retainFrom > at) &&", "retainFrom > 2 * at) &&"),
  ),
  one(
    "a savepoint counts though a database doesn't hold it",
    "SAVEPOINT2",
    engine(
      "history/savepoints",
      'await Promise.all(others.map((store) => persistent(clock, "D1", () => store.hold(row))))',
      'await Promise.all(others.slice(1).map((store) => persistent(clock, "D1", () => store.hold(row))))',
    ),
  ),
  rare(
    "a late call holds a savepoint that was removed in place of a newer one",
    "SAVEPOINT4",
    savepoints(" || (there !== undefined && there.number > savepoint.number)", ""),
  ),
  one(
    "a list removes what others are taking",
    "SAVEPOINT4",
    engine(
      "history/savepoints",
      "  const elsewhere = await Promise.all(others",
      '  const early = await persistent(clock, "D1", () => first.all());\n  const elsewhere = await Promise.all(others',
    ),
    engine("history/savepoints", "new Set(rows.map(", "new Set(early.map("),
  ),
  one(
    "a savepoint counts before R2 has its object",
    "SAVEPOINT5",
    engine("history/savepoints", "  await recordSavepoint(files, row, heads.flat());\n", ""),
    engine(
      "history/savepoints",
      '  if (now === "held") return',
      '  if (now === "held") await recordSavepoint(files, row, heads.flat());\n  if (now === "held") return',
    ),
  ),
  one(
    "a savepoint that is removed while it is taken leaves its object",
    "SAVEPOINT4",
    engine("history/savepoints", "  await deleteRecords(files, row);\n  return", "  return"),
    engine(
      "history/savepoints",
      "  if (row === undefined) await deleteRecords(files, undefined, objects);\n  else await",
      "  if (row !== undefined) await",
    ),
  ),
  one(
    "the object of a savepoint tells how far partitions are now",
    "SAVEPOINT5",
    savepoints("findLast(({ stamp: of }) => of <= at)", "at(-1)"),
  ),
  one(
    "a partition from R2 alone takes rows above the moment",
    "REBUILDAT1",
    engine("recovery/rebuild-at", "of <= at,", "of - 50_000 <= at,"),
  ),
  one(
    "a partition from R2 alone begins with a snapshot above the moment",
    "REBUILDAT1",
    engine("recovery/rebuild-at", "      if (manifest.stamp > at || !", "      if (!"),
    engine(
      "recovery/rebuild-at",
      "if (found === null || found.stamp > at) high = middle;",
      "if (found === null) high = middle;",
    ),
  ),
  one(
    "a partition from R2 alone is complete where its archive ends",
    "REBUILDAT3",
    engine("recovery/rebuild-at", 'end.tag === "beyond" || of === at', "true"),
  ),
  ...TIMER_DEFECTS,
];
