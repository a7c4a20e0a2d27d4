/**
 * The command line: a table of commands, and the exit statuses for their endings (COMMAND1 of command.ts).
 * A new command is a file that exports an AddCommand, and a line in the table.
 */
import { Command, CommanderError } from "commander";
import about from "../../package.json" with { type: "json" };
import { Damage, Failure, messageOf } from "../engine/base/errors.ts";
import { adoptCommand } from "./adopt.ts";
import { NoAnswerError } from "./app.ts";
import { askCommand } from "./ask.ts";
import { blameCommand } from "./blame.ts";
import { catCommand } from "./cat.ts";
import { No, NO, CommandError, TROUBLE, YES, type AddCommand, type Cli, type Status } from "./command.ts";
import { changesCommand } from "./changes.ts";
import { checkCommand } from "./check.ts";
import { costCommand } from "./cost.ts";
import { diffCommand } from "./diff.ts";
import { doctorCommand } from "./doctor.ts";
import { evictCommand } from "./evict.ts";
import { exportCommand } from "./export.ts";
import { getCommand } from "./get.ts";
import { historyCommand } from "./history.ts";
import { manifestsCommand } from "./manifests.ts";
import { pinCommand, pinsCommand, unpinCommand } from "./pins.ts";
import { saveCommand, savepointsCommand, unsaveCommand } from "./savepoints.ts";
import { promoteCommand } from "./promote.ts";
import { quarantineCommand } from "./quarantine.ts";
import { recoverCommand } from "./recover.ts";
import { reprocessCommand } from "./reprocess.ts";
import { rescaleCommand } from "./rescale.ts";
import { rollbackCommand } from "./rollback.ts";
import { scanCommand } from "./scan.ts";
import { newCommand, initCommand } from "./scaffold.ts";
import { sendFileCommand } from "./send-command.ts";
import { snapshotCommand } from "./snapshot.ts";
import { statusCommand } from "./status.ts";
import { forkCommand, timelinesCommand, unforkCommand } from "./timelines.ts";
import { timersCommand } from "./timers.ts";
import { verifyCommand } from "./verify.ts";
import { verifyPartitionCommand } from "./verify-partition.ts";
import { watchCommand } from "./watch.ts";

/** In the order of the help page. */
const COMMANDS: readonly (readonly [heading: string, commands: readonly AddCommand[]])[] = [
  ["Begin:", [initCommand, newCommand]],
  [
    "Events and state:",
    [
      sendFileCommand,
      askCommand,
      getCommand,
      timersCommand,
      scanCommand,
      historyCommand,
      blameCommand,
      watchCommand,
      changesCommand,
      exportCommand,
      diffCommand,
    ],
  ],
  [
    "Inspect and operate:",
    [
      statusCommand,
      doctorCommand,
      snapshotCommand,
      manifestsCommand,
      pinsCommand,
      pinCommand,
      unpinCommand,
      saveCommand,
      savepointsCommand,
      unsaveCommand,
      forkCommand,
      timelinesCommand,
      unforkCommand,
      promoteCommand,
      rollbackCommand,
      reprocessCommand,
      rescaleCommand,
      checkCommand,
      verifyPartitionCommand,
      evictCommand,
      quarantineCommand,
      recoverCommand,
      adoptCommand,
    ],
  ],
  ["Files, without the app:", [catCommand, verifyCommand, costCommand]],
];

const ABOUT = `
The app is at --url or KEYFRAME_URL (http://127.0.0.1:8787), its token in --token or KEYFRAME_TOKEN.
Exit status: 0 yes, or done; 1 no (different, corrupt, refused, missing); 2 the command failed.
"keyframe help COMMAND" shows examples.`;

export async function runCli(args: readonly string[], cli: Cli): Promise<Status> {
  let status: Status = YES;
  const program = new Command("keyframe")
    .description("Inspect Keyframe: its state, partitions and files")
    .version(about.version)
    .addHelpText("after", ABOUT)
    .configureOutput({
      writeOut: (text) => void cli.screen.print(text.trimEnd()),
      writeErr: (text) => cli.screen.say(text.trimEnd()),
    })
    .exitOverride();
  for (const [heading, commands] of COMMANDS) {
    program.commandsGroup(heading);
    for (const add of commands) add(program, cli, (ended) => (status = ended));
  }
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    status = failed(error, cli);
  }
  return unwritten(await cli.screen.end(), cli) ?? status;
}

/** Returns null if all output was written (SCREEN3). */
function unwritten(error: NodeJS.ErrnoException | null, { screen }: Cli): Status | null {
  if (error === null) return null;
  if (error.code !== "EPIPE")
    screen.say(`${screen.paintError("red", "keyframe:")} standard output can't be written: ${error.message}`);
  return TROUBLE;
}

function failed(error: unknown, { screen }: Cli): Status {
  // Commander printed the error itself. A request for help hasn't failed.
  if (error instanceof CommanderError) return error.exitCode === 0 ? YES : TROUBLE;
  const bug = !(
    error instanceof CommandError ||
    error instanceof Damage ||
    error instanceof Failure ||
    isSystemError(error)
  );
  const text = bug && error instanceof Error ? `this is a bug: ${error.stack ?? error.message}` : messageOf(error);
  const unknown = error instanceof NoAnswerError && error.unknown ? "\nThe outcome is unknown." : "";
  screen.say(`${screen.paintError("red", "keyframe:")} ${text}${unknown}`);
  return error instanceof No ? NO : TROUBLE;
}

/** For example a file that is missing, or may not be read. */
const isSystemError = (error: unknown): boolean => error instanceof Error && "syscall" in error;
