/**
 * Planted defects of what can't be used as it stands: states of keys that can't be migrated, objects that no read gives
 * back, and archives of incarnations that were given up (defects.ts has the rest).
 */
import { engine, one, type Defect } from "./plant.ts";

export const STATE_DEFECTS: readonly Defect[] = [
  // ---- keys that can't be migrated ----
  one(
    "a migration that throws closes its partition",
    "MIGRATION1",
    engine(
      "operator/migration",
      '      return { tag: "failed", why: `the step',
      '      if (step > 0) throw error;\n      return { tag: "failed", why: `the step',
    ),
  ),
  one(
    "what can't be migrated is shown as if it were",
    "MIGRATION2",
    engine("snapshot/record", "{ text: kept, ...when, version };", "{ text: kept, ...when };"),
  ),
  one(
    "what can't be migrated loses its version in a snapshot",
    "MIGRATION1",
    engine("snapshot/record", '${entry.version === undefined ? "" : `v${entry.version}\\t`}', ""),
  ),
  one(
    "the manifest doesn't say what can't be migrated",
    "MIGRATION1",
    engine(
      "checkpoint/checkpoint",
      "    ...(counted.unmigrated.keys > 0 ? { unmigrated: counted.unmigrated } : {}),\n",
      "",
    ),
  ),
  one(
    "an event is quarantined whose key can't be migrated",
    "MIGRATION2",
    engine(
      "partition/group",
      'found.tag === "new" ? this.#unmigrated(row, events[i]!, slice.keys[i]!) : null;',
      "null as string | null;",
    ),
  ),
  one(
    "replay leaves out what it can't apply to a key that can't be migrated",
    "IN4",
    engine(
      "state/state-machine",
      '    else if (outcome.tag === "quarantined") {',
      '    else if (outcome.tag === "quarantined" && !outcome.error.startsWith(MIGRATION_FAILED)) {',
    ),
  ),

  // ---- objects that can't be read ----
  one(
    "an object that no read gives back closes its partition",
    "SNAP4",
    engine("snapshot/object-reader", "if (other === null) throw error;", "if (other !== undefined) throw error;"),
  ),
  one(
    "an object that no read gives back isn't named",
    "SNAP4",
    engine("snapshot/object-reader", "      damage.object = name;\n", ""),
    engine("snapshot/object-reader", "new Damage(`${name} can't be read,", "new Damage(`an object can't be read,"),
  ),

  // ---- archives of incarnations that were given up ----
  one(
    "a replay takes what archives of given-up incarnations hold",
    "INCARNATION1",
    engine("recovery/archived-log", "Math.min(to, limitOf(name))", "to"),
  ),
  one(
    "an incarnation that was given up bounds what archives of others hold",
    "INCARNATION1",
    engine(
      "recovery/incarnation",
      "    incarnation = resumed;",
      "    incarnation = [...firsts.keys()].filter((one) => one < incarnation!).sort((a, b) => b - a)[0] ?? resumed;",
    ),
  ),
  one(
    "a reader of the log takes what archives of given-up incarnations hold",
    "INCARNATION1",
    engine(
      "history/log-reader",
      "const limitOf = await archiveLimits(env, row,",
      "const limitOf = bottom > 0 ? () => Infinity : await archiveLimits(env, row,",
    ),
  ),
];
