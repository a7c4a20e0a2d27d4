/** `keyframe status`: every partition in one table, from D1, without waking any (SNAP9). */
import type { OperatorInfo, OperatorStatus, PartitionInfo } from "../client/admin-answers.ts";
import { operatorPath } from "../client/paths.ts";
import { AppClient, online, timelineOption, type AppOptions } from "./app.ts";
import { examples, CommandError, YES, type AddCommand } from "./command.ts";
import { healthCell, unmigratedText } from "./checks.ts";
import type { Paint } from "./text.ts";
import { age, since, bytes, count, span } from "../client/amounts.ts";
import { table } from "./text.ts";

export const statusCommand: AddCommand = (program, cli, done) => {
  timelineOption(online(program.command("status")))
    .description("Show every partition: health, applied events, snapshot, tail, quarantine, estimated recovery")
    .argument("[operator]", "only this operator")
    .addHelpText(
      "after",
      examples("keyframe status", "keyframe status usage --json | jq .estimatedRecoveryMs") +
        "\n\nstatus reads D1, and wakes no partition. QUARANTINE counts quarantined events, or is ? if only the partition knows\n(keyframe quarantine). keyframe doctor explains what isn't healthy.",
    )
    .action(async (operator: string | undefined, options: AppOptions) => {
      const all = await readStatus(new AppClient(options, cli), operator);
      const lines = options.json ? statusJson(all) : statusTable(all, Date.now(), cli.screen.paint);
      for (const line of lines) await cli.screen.print(line);
      done(YES);
    });
};

export async function readStatus(app: AppClient, only?: string): Promise<OperatorStatus[]> {
  const operators = (await app.get("/v1/operators")) as OperatorInfo[];
  const wanted = operators.filter(({ name }) => only === undefined || name === only);
  if (wanted.length === 0)
    throw new CommandError(
      `there is no operator ${only ?? ""}; there are ${operators.map(({ name }) => name).join(", ")}`,
    );
  const all: OperatorStatus[] = [];
  // One after the other: each request asks every database.
  for (const operator of wanted) {
    const lost = operator.lost !== undefined;
    const partitions = lost ? [] : ((await app.get(`${operatorPath(operator.name)}/partitions`)) as PartitionInfo[]);
    all.push({ operator, partitions });
  }
  return all;
}

const statusJson = (all: readonly OperatorStatus[]): string[] =>
  all.flatMap(({ operator: { name, lost }, partitions }) =>
    lost === undefined
      ? partitions.map((partition) => JSON.stringify({ operator: name, ...partition }))
      : [JSON.stringify({ operator: name, lost })],
  );

const HEADINGS = [
  "OPERATOR",
  ">PART",
  "HEALTH",
  ">EPOCH",
  ">APPLIED",
  ">SNAPSHOT",
  ">TAIL",
  ">KEYS",
  ">STATE",
  ">QUARANTINE",
  "LAST SNAPSHOT",
  ">RECOVERY",
];

export function statusTable(all: readonly OperatorStatus[], nowMs: number, paint: Paint): string[] {
  const known = all.filter(({ operator }) => operator.lost === undefined);
  const rows = known.flatMap(({ operator: { name }, partitions }) =>
    partitions.map((one) => row(name, one, nowMs, paint)),
  );
  const stuck = known.flatMap(({ operator: { name }, partitions }) =>
    partitions.flatMap(({ partition, unmigrated }) =>
      unmigrated === undefined ? [] : [`${paint("red", `${name} ${partition}`)}: ${unmigratedText(unmigrated)}`],
    ),
  );
  const lost = all.flatMap(({ operator: { name, lost: why } }) =>
    why === undefined ? [] : [`${paint("red", name)}: ${why}; keyframe recover --from-r2 ${name}`],
  );
  return [...table(HEADINGS, rows, paint), ...stuck, ...lost];
}

function row(operator: string, one: PartitionInfo, nowMs: number, paint: Paint): string[] {
  return [
    operator,
    String(one.partition),
    healthCell(one, nowMs, paint),
    String(one.epoch),
    count(one.appliedSeq),
    count(one.snapshotSeq),
    one.tailEvents === 0 ? "0" : `${count(one.tailEvents)} (${bytes(one.tailBytes)})`,
    count(one.keys),
    bytes(one.stateBytes),
    one.quarantined === null ? "?" : count(one.quarantined),
    lastSnapshot(one, nowMs),
    span(one.estimatedRecoveryMs),
  ];
}

function lastSnapshot({ lastSnapshot: last }: PartitionInfo, nowMs: number): string {
  if (last === null) return "none";
  return "unreadable" in last ? "unreadable" : `${last.kind}, ${bytes(last.bytes)}, ${age(since(last.at, nowMs))} ago`;
}
