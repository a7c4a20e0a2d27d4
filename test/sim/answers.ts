/**
 * Checks the answer to a request, as its client hears it: every count, and that what is called decided is in the log of
 * every operator that wants it (LOG1), whatever became of the calls behind it.
 */
import type { Intake } from "../../src/worker/ingest/intake.ts";
import type { Logged } from "./model.ts";
import { contentOf, nameOf } from "./truth.ts";
import type { Request } from "./worker.ts";
import type { World } from "./world.ts";

const WANTING: Readonly<Record<string, readonly string[]>> = {
  note: ["count", "ledger"],
  add: ["count"],
  wipe: ["count"],
  buy: ["credits"],
  take: ["credits"],
  remind: ["reminders"],
  forget: ["reminders"],
  drop: ["reminders"],
};

const REJECTIONS = new Set([
  "id_reused",
  "unknown_type",
  "producer_fenced",
  "producer_seq_too_old",
  "migration_failed",
]);

/** The flaw of the answer, or null. */
export function checkAnswer(world: World, { texts, only, full, producer }: Request, intake: Intake): string | null {
  const { counts, errors, results, interruption } = intake;
  // A caller that is told of it may have been told before it was lost.
  if (texts.some((text) => world.oracle.isGivenUp(nameOf(JSON.parse(text) as Record<string, unknown>)))) return null;
  const sum = counts.accepted + counts.duplicates + counts.refused + counts.rejected + counts.unrouted;
  if (
    interruption === null &&
    (counts.received !== texts.length || sum !== texts.length || counts.through !== texts.length)
  )
    return `the counts don't add up: ${JSON.stringify(counts)}`;
  const rejected = new Set(errors.filter((error) => REJECTIONS.has(error.code)).map((error) => error.index));
  let refused = 0;
  let quarantined = 0;
  let forgotten = counts.forgotten;
  // Quarantined at first: a duplicate may hear what became of them since, so the counts may be off by so many.
  let settled = 0;
  for (const [index, text] of texts.slice(0, counts.through).entries()) {
    if (rejected.has(index)) continue;
    const event = JSON.parse(text) as Record<string, unknown>;
    const found = logged(world, event, only);
    // An event that is known by its number alone may have been rejected.
    if (typeof found === "string" && producer !== null && forgotten-- > 0) continue;
    if (typeof found === "string") return found;
    world.trace.count("events acknowledged");
    const tags = found.map((one) => one.outcome?.tag ?? "a");
    if (tags.includes("r")) refused += 1;
    else if (tags.includes("q")) quarantined += 1;
    if (since(world, found)) settled += 1;
  }
  world.trace.count("refusals", refused);
  world.trace.count("quarantined", quarantined);
  // An event that is known by its number alone counts as a duplicate, whatever its outcome was.
  const fits = (told: number, expected: number): boolean =>
    Math.abs(told - expected) <= settled || (producer !== null && told < expected);
  const right =
    fits(counts.refused, refused) && fits(counts.quarantined, quarantined) && counts.rejected === rejected.size;
  if (interruption === null && !right)
    return `${refused} were refused and ${quarantined} quarantined, but the counts are ${JSON.stringify(counts)}`;
  for (const { operator, partition, seq, status } of full ? results : []) {
    if (status === "rejected" || status === "forgotten") continue;
    const name = `1/${operator}/${String(partition).padStart(4, "0")}`;
    const truth = world.oracle.truth(name);
    const event = truth.events[(seq ?? 0) - 1];
    const tag = event?.outcome?.tag ?? "a";
    const tags = [
      tag,
      ...(event === undefined || tag !== "q" ? [] : truth.settlements.came(event).map(({ outcome }) => outcome.tag)),
    ];
    if (!tags.some((one) => status.startsWith({ a: "applied", r: "refused", q: "quarantined" }[one])))
      return `seq ${seq} is ${tag} and told as ${status}`;
  }
  return null;
}

/** Has a command taken any of them out of the quarantine, or retried it? */
const since = (world: World, found: readonly Logged[]): boolean =>
  found.some((one) =>
    [...world.host.slots.values()].some(
      ({ name }) =>
        world.oracle.truth(name).events[one.seq - 1] === one &&
        world.oracle.truth(name).settlements.came(one).length > 0,
    ),
  );

/** The event in the log of everyone who wants it, or who doesn't have it. */
function logged(world: World, event: Record<string, unknown>, only: string | null): Logged[] | string {
  const found: Logged[] = [];
  const wanting = only === null ? (WANTING[String(event["type"])] ?? []) : [only];
  for (const operator of wanting) {
    if (!(world.config.operators as readonly string[]).includes(operator)) continue;
    const homes = [...world.host.slots.values()]
      .filter((slot) => slot.address.operator === operator)
      .map((slot) =>
        world.oracle
          .truth(slot.name)
          .byName.get(nameOf(event))
          ?.findLast((one) => one.content === contentOf(event, keyOf(event))),
      )
      .filter((one) => one !== undefined);
    if (homes.length !== 1)
      return `${nameOf(event)} was acknowledged, and is in ${homes.length} partitions of ${operator} (LOG1)`;
    found.push(homes[0]!);
  }
  return found;
}

const keyOf = (event: Record<string, unknown>): string => (event["partitionkey"] ?? event["key"]) as string;
