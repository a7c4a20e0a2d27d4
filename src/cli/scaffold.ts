/**
 * Prints the results, or the plans, of `keyframe init` and `keyframe new operator NAME` (init.ts and new.ts do the
 * work).
 */
import { examples, NO, YES, type AddCommand, type Cli } from "./command.ts";
import { init } from "./init.ts";
import { newOperator } from "./new.ts";

interface Options {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export const initCommand: AddCommand = (program, cli, done) => {
  program
    .command("init")
    .description("Add what Keyframe needs to the Worker in this directory, or begin one in an empty directory")
    .option("--dry-run", "print what would be done, and change nothing")
    .option("--json", "the result as one JSON object")
    .addHelpText("after", examples("keyframe init --dry-run", "keyframe init"))
    .action(async ({ dryRun = false, json = false }: Options) => {
      const result = init({ directory: process.cwd(), dryRun });
      if (json) await cli.screen.print(JSON.stringify(result));
      else if (result.tag === "refused") cli.screen.say(`keyframe: ${result.why}`);
      else {
        const { written, kept, next } = result;
        for (const { file, what } of written) await cli.screen.print(`${wrote(dryRun)} ${file}: ${what}`);
        for (const file of kept) await cli.screen.print(`left as it is: ${file}`);
        await steps(cli, next);
      }
      done(result.tag === "done" ? YES : NO);
    });
};

export const newCommand: AddCommand = (program, cli, done) => {
  program
    .command("new")
    .description("Write a new operator and its test")
    .argument("<what>", "operator")
    .argument("<name>", "a-z, 0-9 and -; it names the state forever")
    .option("--dry-run", "print what would be done, and change nothing")
    .option("--json", "the result as one JSON object")
    .addHelpText("after", examples("keyframe new operator page-views"))
    .action(async (what: string, name: string, { dryRun = false, json = false }: Options) => {
      const result =
        what === "operator"
          ? newOperator({ directory: process.cwd(), name, dryRun })
          : ({ tag: "refused", why: `"${what}" can't be made: keyframe new operator NAME` } as const);
      if (json) await cli.screen.print(JSON.stringify(result));
      else if (result.tag === "refused") cli.screen.say(`keyframe: ${result.why}`);
      else {
        for (const file of result.written) await cli.screen.print(`${wrote(dryRun)} ${file}`);
        await steps(cli, [result.next]);
      }
      done(result.tag === "done" ? YES : NO);
    });
};

const wrote = (dryRun: boolean): string => (dryRun ? "would write" : "wrote");

async function steps({ screen }: Cli, next: readonly string[]): Promise<void> {
  if (next.length > 0) await screen.print(`\nNext:`);
  for (const step of next) await screen.print(`  ${step}`);
}
