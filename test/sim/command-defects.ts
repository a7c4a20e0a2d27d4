/**
 * Planted defects of what people do: edits, erasures, commands on the quarantine, bounds on what an operator takes, and
 * databases that are restored to an older point, adopted or rebuilt (defects.ts has the rest).
 */
import { engine, one, type Defect } from "./plant.ts";

export const COMMAND_DEFECTS: readonly Defect[] = [
  // ---- edits ----
  one(
    "an edit counts whatever its condition says",
    "ONE6",
    engine(
      "state/edit",
      "  if (last.text === null) return",
      "  if (last.text !== null) return true;\n  if (last.text === null) return",
    ),
  ),
  one("a tag is the event alone", "ONE6", engine("state/edit", "tag[0] === seq && tag[1] === print", "tag[0] === seq")),
  one(
    "the condition of an edit is asked of the group's row alone",
    "ONE6",
    engine(
      "state/overlay",
      "    for (let overlay = this.#below; overlay !== null && !overlay.#settled; overlay = overlay.#below) {\n      const pending",
      "    for (let overlay = null as Overlay | null; overlay !== null && !overlay.#settled; overlay = overlay.#below) {\n      const pending",
    ),
  ),
  one(
    "the condition of an edit is asked again at replay",
    "ONE6",
    engine("state/state-machine", "live === null ? null : overlay.last(context.key)", "overlay.last(context.key)"),
  ),

  // ---- erasures ----
  one(
    "an erasure leaves an event in the quarantine whose own commit is under way",
    "ONE5, SNAP8",
    engine(
      "state/quarantine",
      "new Set([...this.#entries.keys(), ...this.#decided.keys()])",
      "new Set(this.#entries.keys())",
    ),
  ),
  one(
    "an erasure leaves the quarantine as it is",
    "ONE5, SNAP8",
    engine(
      "state/state-machine",
      'for (const entry of this.quarantine.ofKey(key)) this.quarantine.remove(entry, "erased", at);',
      "return;",
    ),
  ),
  one(
    "what leaves the quarantine isn't in the delta",
    "SNAP1",
    engine(
      "state/quarantine",
      "      this.#changed.set(left.seq, by);\n",
      '      if (!("how" in left)) this.#changed.set(left.seq, by);\n',
    ),
  ),

  // ---- the quarantine ----
  one(
    "an event is quarantined as the handler left it",
    "IN4",
    engine(
      "partition/group",
      "(): string => slice.body.slice(start, stop).trim()",
      "(): string => JSON.stringify(events[i])",
    ),
  ),
  one(
    "replay sets an event aside as the handler left it",
    "IN4",
    engine("state/state-machine", "text: () => sent(index) }", "text: () => JSON.stringify(event) }"),
  ),
  one(
    "the retried event is run at the retry's time",
    "IN4",
    engine(
      "state/state-machine",
      "(retried.data as Firing).due : entry.now;",
      "(retried.data as Firing).due : entry.now + 1;",
    ),
  ),

  one(
    "a duplicate hears that its event was quarantined, whatever became of that since",
    "QUARANTINE5, A6",
    engine(
      "state/state-machine",
      "=== true ? this.quarantine.became(at) : undefined",
      "=== null ? this.quarantine.became(at) : undefined",
    ),
  ),
  one(
    "what became of quarantined events isn't in the snapshot",
    "QUARANTINE5, A6",
    engine(
      "state/quarantine",
      "[...this.#entries.values(), ...this.#settled.values()].sort",
      "[...this.#entries.values()].sort",
    ),
    engine(
      "state/quarantine",
      "this.inLog(at) ?? { seq: at, gone: true }",
      "this.#entries.get(at) ?? { seq: at, gone: true }",
    ),
  ),
  one(
    "a duplicate hears of a retry that isn't in the log yet",
    "LOG1",
    engine(
      "state/state-machine",
      "text: this.settledAs(left), until: left.by }",
      "text: this.settledAs(left), until: at }",
    ),
  ),

  // ---- bounds ----
  one(
    "a day takes more events than its share",
    "maxEventsPerDay",
    engine(
      "partition/quota",
      "if (spent + slice.keys.length <= share) return null;",
      "if (spent <= share) return null;",
    ),
  ),
  one(
    "duplicates use up the share of a day",
    "maxEventsPerDay",
    engine("partition/quota", '.tag === "new") count += 1;', '.tag !== "reused") count += 1;'),
  ),
  one(
    "each partition has the share of all",
    "maxEventsPerDay",
    engine("partition/quota", "maxEventsPerDay: Math.ceil(maxEventsPerDay / among)", "maxEventsPerDay"),
  ),
  one(
    "keys of groups under way don't count",
    "maxKeys",
    engine("state/overlay", "      keys += overlay.#grown;\n", "      keys += 0;\n"),
  ),
  one(
    "a key that was removed still counts",
    "maxKeys",
    engine("state/state-machine", "overlay.grew(grows);", "overlay.grew(Math.max(0, grows));"),
  ),
  one(
    "an edit makes as many keys as it likes",
    "maxKeys",
    engine(
      "state/state-machine",
      "live.maxKeys === Number.POSITIVE_INFINITY || outcome",
      "live.maxKeys === Number.POSITIVE_INFINITY || isEdit(event.type) || outcome",
    ),
  ),

  // ---- databases that are restored to an older point ----
  one(
    "nobody looks for what D1 has lost when a partition opens",
    "rewound.ts, E2",
    engine(
      "recovery/rewind-check",
      "  if (why !== null) return refuse(env, mark!, `D1 is below its high-water mark: ${why}`);\n",
      "",
    ),
  ),
  one(
    "facts of an earlier incarnation count",
    "rewound.ts, E4",
    engine("log/fence", "  if (incarnationOf(now.epoch) > incarnationOf(mark.epoch)) return null;\n", ""),
  ),
  one(
    "an adopted row stays in the same incarnation",
    "adopt.ts, A2",
    engine("recovery/adopt", "epoch: nextIncarnation(top.epoch), version", "epoch: epoch(top.epoch + 1), version"),
  ),
  one(
    "an adopted row continues from its own version",
    "adopt.ts, A2",
    engine(
      "recovery/adopt",
      "nextIncarnation(top.epoch), version: top.version }",
      "nextIncarnation(top.epoch), version: row.version }",
    ),
  ),
  one(
    "a rebuilt row begins with the oldest snapshot",
    "SNAP2",
    engine("recovery/rebuild", "names.toReversed()", "names"),
  ),
  one(
    "a rebuilt row doesn't look at what is known of its epochs",
    "LOG2",
    engine("recovery/rebuild", "= higher(shown, known);", "= { ...higher(shown, known), epoch: shown.epoch };"),
  ),
];
