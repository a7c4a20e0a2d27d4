/**
 * `keyframe verify-partition OP N`: does a partition hold the state that its snapshot and log give? The app rebuilds it
 * and compares.
 */
import type { VerifiedInfo } from "../client/admin-answers.ts";
import {
  AppClient,
  problemCode,
  fine,
  online,
  pathOfPartition,
  POST_REQUEST,
  saidBy,
  timelineOption,
  type AppOptions,
} from "./app.ts";
import { unmigratedText } from "./checks.ts";
import { examples, NO, YES, type AddCommand } from "./command.ts";
import { count } from "../client/amounts.ts";
import { quoted } from "./text.ts";

export const verifyPartitionCommand: AddCommand = (program, cli, done) => {
  timelineOption(online(program.command("verify-partition")))
    .description("Rebuild a partition's state from snapshot and log, and compare (of files: verify)")
    .argument("<operator>")
    .argument("<partition>")
    .addHelpText(
      "after",
      examples("keyframe verify-partition usage 0") +
        "\n\nExit status: 0 equal, 1 different or the state can't be rebuilt, 2 the request failed.",
    )
    .action(async (operator: string, partition: string, options: AppOptions) => {
      const { screen } = cli;
      const answer = await new AppClient(options, cli).askAgain(
        `${pathOfPartition(operator, partition)}/verify`,
        POST_REQUEST,
      );
      const broken = problemCode(answer) === "not_rebuilt";
      const body = (broken ? answer.body : fine(answer)) as VerifiedInfo;
      if (options.json) await screen.print(JSON.stringify(body));
      else if (broken) screen.say(`${screen.paintError("red", "not rebuilt")} ${saidBy(answer)}`);
      else for (const line of verifiedLines(body)) await screen.print(line);
      done(!broken && body.equal ? YES : NO);
    });
};

export function verifiedLines({
  equal,
  seq,
  manifest,
  replayedEvents,
  keys,
  first,
  unmigrated,
}: VerifiedInfo): string[] {
  const stuck = unmigrated === undefined ? [] : [`  ${unmigratedText(unmigrated)}`];
  const from = manifest === null ? "the whole log" : `manifest ${manifest}`;
  if (equal)
    return [
      `equal: ${count(keys)} keys at seq ${count(seq)}, rebuilt from ${from} and ${count(replayedEvents)} events`,
      ...stuck,
    ];
  return [
    `different at seq ${count(seq)}, rebuilt from ${from}`,
    ...(first === undefined
      ? []
      : [
          `  first at seq ${count(first.seq)}, key ${quoted(first.key)}`,
          `    live    ${JSON.stringify(first.live)}`,
          `    rebuilt ${JSON.stringify(first.rebuilt)}`,
        ]),
    ...stuck,
  ];
}
