/**
 * `keyframe recover --from-r2 OP`: restores the parts of an operator that D1 has lost, from R2 (docs/reference/api.md,
 * "When D1 is lost").
 */
import { operatorPath } from "../client/paths.ts";
import { AppClient, fine, online, POST_REQUEST, type AppOptions } from "./app.ts";
import { examples, NO, YES, type AddCommand } from "./command.ts";
import type { Paint } from "./text.ts";
import { count } from "../client/amounts.ts";
import { table } from "./text.ts";

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

export const recoverCommand: AddCommand = (program, cli, done) => {
  online(program.command("recover"))
    .description("Rebuild an operator's lost rows in D1 from its snapshots in R2; existing rows stay as they are")
    .argument("<operator>")
    .option("--from-r2", "from R2, the only source so far")
    .addHelpText(
      "after",
      examples("keyframe recover --from-r2 usage") +
        "\n\nBind and migrate the databases first. Exit status: 0 complete, 1 some partitions are still missing, 2 the request failed.",
    )
    .action(async (operator: string, options: AppOptions) => {
      const body = fine(
        await new AppClient(options, cli).askAgain(`${operatorPath(operator)}/recover`, POST_REQUEST),
      ) as Recovered;
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
  const end = complete ? "complete" : later ? "incomplete: run it again" : "incomplete: some partitions can't be read";
  return [
    ...table([">PART", "STATUS", ">MANIFEST", ">SEQ", "STATE AS OF"], rows, paint),
    ...passedOver,
    `${operator} is ${end}; ${changed ? "send later events again" : "nothing was written"}`,
  ];
}
