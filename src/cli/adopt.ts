/**
 * `keyframe adopt OP N d1|r2`: decides from which side a partition resumes if its database was restored to an older
 * point (docs/reference/api.md, "When D1 was restored to an older point").
 */
import { Argument } from "commander";
import { AppClient, fine, online, pathOfPartition, postJson, saidBy, type AppOptions } from "./app.ts";
import { examples, NO, YES, type AddCommand } from "./command.ts";
import { count } from "../client/amounts.ts";

interface Adopted {
  readonly partition: number;
  readonly truth: string;
  readonly epoch: number;
  readonly seq: number;
  readonly manifest: number | null;
  readonly givenUp: {
    readonly seqs: readonly [number, number] | null;
    readonly manifests: readonly [number, number] | null;
  };
  readonly passedOver: readonly string[];
}

export const adoptCommand: AddCommand = (program, cli, done) => {
  online(program.command("adopt"))
    .description(
      "Decide how a partition resumes after its database was restored to an older point (log_rewound); this can't be undone",
    )
    .argument("<operator>")
    .argument("<partition>")
    .addArgument(new Argument("<truth>", "the side that counts from now on").choices(["d1", "r2"]))
    .addHelpText(
      "after",
      examples("keyframe adopt usage 0 r2", "keyframe adopt usage 0 d1") +
        "\n\nr2: the newest intact snapshot in R2; d1: what the database has now. Later events of the other side are given up.\nExit status: 0 decided, 1 there is nothing to decide or R2 has no intact snapshot, 2 the request failed.",
    )
    .action(async (operator: string, partition: string, truth: string, options: AppOptions) => {
      const { screen } = cli;
      const path = `${pathOfPartition(operator, partition)}/adopt`;
      // Sent once: after the first answer the decision is made, and a second request would fail.
      const answer = await new AppClient(options, cli).ask(path, postJson(JSON.stringify({ truth })));
      const no = answer.tag === "problem" && answer.status === 409;
      const body = no ? answer.body : fine(answer);
      if (options.json) await screen.print(JSON.stringify(body));
      else if (no) screen.say(saidBy(answer));
      else for (const line of adoptedLines(operator, body as Adopted)) await screen.print(line);
      done(no ? NO : YES);
    });
};

export function adoptedLines(
  operator: string,
  { partition, truth, seq, manifest, givenUp, passedOver }: Adopted,
): string[] {
  const from = manifest === null ? "" : `, from manifest ${manifest}`;
  const gone = [range("events", givenUp.seqs), range("manifests", givenUp.manifests)].filter((one) => one !== null);
  return [
    ...passedOver.map((why) => `passed over: ${why}`),
    `partition ${partition} of ${operator} resumes after seq ${count(seq)}, as ${truth.toUpperCase()} has it${from}`,
    gone.length === 0 ? "no event is known to be given up" : `given up: ${gone.join(", ")}`,
    "send later events again",
  ];
}

const range = (what: string, span: readonly [number, number] | null): string | null =>
  span === null ? null : `${what} ${count(span[0])} to ${count(span[1])}`;
