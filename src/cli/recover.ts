/**
 * `keyframe recover`: restores the parts of operators that D1 has lost, from R2 (docs/reference/api.md, "When D1 is
 * lost"): up to their last snapshots, or all as of one moment.
 */
import type { OperatorInfo } from "../client/admin-answers.ts";
import { count } from "../client/amounts.ts";
import { operatorPath, savepointPath } from "../client/paths.ts";
import { AppClient, fine, online, problemCode, putJson, saidBy, type AppOptions } from "./app.ts";
import { CommandError, examples, No, NO, YES, type AddCommand } from "./command.ts";
import type { Paint } from "./text.ts";
import { table } from "./text.ts";

interface Recovered {
  readonly operator: string;
  readonly changed: boolean;
  readonly complete: boolean;
  /** The moment, if one was asked for. */
  readonly to?: number;
  readonly time?: string;
  readonly items: readonly Item[];
}

interface Item {
  readonly partition: number;
  readonly status: string;
  readonly manifest?: number | null;
  readonly seq?: number;
  readonly at?: string | null;
  readonly passedOver?: readonly string[];
  readonly givenUp?: number;
  readonly missing?: number;
}

interface RecoverOptions extends AppOptions {
  readonly to?: string;
  readonly incomplete?: boolean;
}

/** The answer is no: the databases aren't empty, or R2 has no such moment, or can't tell which line is main. */
const NOES = new Set([
  "not_empty",
  "recovering",
  "no_savepoint",
  "savepoint_unclear",
  "not_settled",
  "line_not_recoverable",
]);

export const recoverCommand: AddCommand = (program, cli, done) => {
  online(program.command("recover"))
    .description("Rebuild operators' lost rows in D1 from R2; existing rows stay as they are")
    .argument("[operator]", "with --to, all operators if none is named")
    .option("--from-r2", "from R2, the only source so far")
    .option("--to <moment>", "as of a savepoint's name, a stamp or a time; else up to each partition's last snapshot")
    .option("--incomplete", "yes to partitions that R2 doesn't bring up to the moment")
    .addHelpText(
      "after",
      examples("keyframe recover --from-r2 usage", "keyframe recover --from-r2 --to month-end") +
        "\n\nBind and migrate the databases first. A moment needs databases that have nothing of the operators. What was logged\nafter it is given up, and the output says how much, as far as R2 knows. When all operators are back as of a savepoint,\nit is saved again.\nExit status: 0 complete, 1 something is missing or the moment can't be had, 2 the request failed.",
    )
    .action(async (operator: string | undefined, options: RecoverOptions) => {
      const { screen } = cli;
      const app = new AppClient(options, cli);
      if (operator === undefined && options.to === undefined)
        throw new CommandError("name an operator, or a moment for all operators with --to");
      const all = operator === undefined ? await operatorNames(app) : [operator];
      let complete = true;
      let at: number | undefined;
      for (const name of all) {
        const body = await recovered(app, name, options);
        complete &&= body.complete;
        at = body.to;
        const lines = options.json ? [JSON.stringify(body)] : recoveredLines(body, screen.paint);
        for (const line of lines) await screen.print(line);
      }
      const isName = /^[a-z]/.test(options.to ?? "");
      if (complete && operator === undefined && isName && at !== undefined) {
        fine(await app.askAgain(savepointPath(options.to!), putJson(JSON.stringify({ at }))));
        screen.say(`savepoint ${options.to} is there again`);
      }
      done(complete ? YES : NO);
    });
};

const operatorNames = async (app: AppClient): Promise<string[]> =>
  ((await app.get("/v1/operators")) as readonly OperatorInfo[]).map(({ name }) => name);

/** Asks until no partition is left for a later request, as long as each request brings some back. */
async function recovered(app: AppClient, operator: string, { to, incomplete }: RecoverOptions): Promise<Recovered> {
  const wanted = JSON.stringify({ to, ...(incomplete === true ? { incomplete } : {}) });
  const items = new Map<number, Item>();
  let changed = false;
  for (;;) {
    const answer = await app.askAgain(`${operatorPath(operator)}/recover`, { ...putJson(wanted), method: "POST" });
    if (NOES.has(problemCode(answer))) throw new No(saidBy(answer));
    const body = fine(answer) as Recovered;
    for (const item of body.items)
      if ((items.get(item.partition)?.status ?? "later") === "later") items.set(item.partition, item);
    changed ||= body.changed;
    const isLeft = body.items.some(({ status }) => status === "later");
    const moved = body.items.some(({ status }) => status === "recovered");
    if (!isLeft || !moved) return { ...body, changed, items: [...items.values()] };
  }
}

export function recoveredLines(body: Recovered, paint: Paint): string[] {
  const { operator, changed, complete, items } = body;
  const rows = items.map(({ partition, status, manifest, seq, at }) => [
    String(partition),
    status,
    manifest == null ? "" : String(manifest),
    seq === undefined ? "" : count(seq),
    at ?? "",
  ]);
  const passedOver = items.flatMap(({ partition, passedOver: list = [] }) =>
    list.map((why) => `${paint("yellow", "passed over")} in partition ${partition}: ${why}`),
  );
  const later = items.some(({ status }) => status === "later");
  const short = items.some(({ status, missing = 0 }) => status === "short" || missing > 0);
  const why = later ? "run it again" : short ? "--incomplete recovers it without" : "some partitions can't be read";
  const end = complete ? "complete" : `incomplete: ${why}`;
  const as = body.time === undefined ? "" : ` as of ${body.time}`;
  return [
    ...table([">PART", "STATUS", ">MANIFEST", ">SEQ", "STATE AS OF"], rows, paint),
    ...passedOver,
    ...items.flatMap((item) => missingLine(item, paint)),
    `${operator} is ${end}${as}; ${changed ? `${givenUp(items)}send later events again` : "nothing was written"}`,
  ];
}

function missingLine({ partition, status, missing }: Item, paint: Paint): string[] {
  if (status !== "short" && missing === undefined) return [];
  const events = missing === undefined ? "events" : missing === 1 ? "1 event" : `${count(missing)} events`;
  const perhaps = missing === undefined ? "may be " : "";
  return [`${paint("yellow", "missing")} in partition ${partition}: ${events} up to the moment ${perhaps}lost with D1`];
}

function givenUp(items: readonly Item[]): string {
  const events = items.reduce((sum, item) => sum + (item.givenUp ?? 0), 0);
  return events === 0 ? "" : `${count(events)} archived events after it are given up; `;
}
