/**
 * `keyframe recover --from-r2 OP`: restores the parts of an operator that D1 has lost, from R2 (docs/reference/api.md,
 * "When D1 is lost").
 */
import { App, fine, online, operatorPath, POST, type Options } from "./app.ts";
import { examples, NO, YES, type AddCommand } from "./command.ts";
import type { Paint } from "./text.ts";
import { count, table } from "./text.ts";

interface Recovered {
  readonly operator: string;
  readonly changed: boolean;
  readonly complete: boolean;
  readonly items: readonly Item[];
}

interface Item {
  readonly partition: number;
  readonly status: string;
  readonly manifest?: number;
  readonly seq?: number;
  readonly at?: string;
  readonly passedOver?: readonly string[];
}

export const recover: AddCommand = (program, cli, done) => {
  online(program.command("recover"))
    .description("Write anew what D1 has lost of an operator, from its snapshots in R2; what is there is left alone")
    .argument("<operator>")
    .option("--from-r2", "from R2, which is the only place so far")
    .addHelpText(
      "after",
      examples("keyframe recover --from-r2 usage") +
        "\n\nBind and migrate the databases first. Exit status: 0 complete, 1 some partitions are missing still, 2 it failed.",
    )
    .action(async (operator: string, options: Options) => {
      const body = fine(await new App(options, cli).askAgain(`${operatorPath(operator)}/recover`, POST)) as Recovered;
      const lines = options.json ? [JSON.stringify(body)] : recoveredLines(body, cli.screen.paint);
      for (const line of lines) await cli.screen.print(line);
      done(body.complete ? YES : NO);
    });
};

export function recoveredLines({ operator, changed, complete, items }: Recovered, paint: Paint): string[] {
  const rows = items.map(({ partition, status, manifest, seq, at }) => [
    String(partition),
    status,
    manifest === undefined ? "" : String(manifest),
    seq === undefined ? "" : count(seq),
    at ?? "",
  ]);
  const passedOver = items.flatMap(({ partition, passedOver: list = [] }) =>
    list.map((why) => `${paint("yellow", "passed over")} in partition ${partition}: ${why}`),
  );
  const later = items.some(({ status }) => status === "later");
  const end = complete
    ? "complete"
    : later
      ? "not complete: call it again"
      : "not complete: some partitions can't be read";
  return [
    ...table([">PART", "STATUS", ">MANIFEST", ">SEQ", "STATE AS OF"], rows, paint),
    ...passedOver,
    `${operator} is ${end}; ${changed ? "senders should send again what they sent after that" : "nothing was written"}`,
  ];
}
