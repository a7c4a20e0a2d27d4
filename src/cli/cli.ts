/**
 * The command line: a table of commands, and the exit statuses for their endings (COMMAND1 of command.ts).
 * A new command is a file that exports an AddCommand, and a line in the table.
 */
import { Command, CommanderError } from "commander";
import about from "../../package.json" with { type: "json" };
import { Damage, Failure, messageOf } from "../engine/base/errors.ts";
import { adopt } from "./adopt.ts";
import { Silence } from "./app.ts";
import { ask } from "./ask.ts";
import { cat } from "./cat.ts";
import { No, NO, Trouble, TROUBLE, YES, type AddCommand, type Cli, type Status } from "./command.ts";
import { cost } from "./cost.ts";
import { diff } from "./diff.ts";
import { doctor } from "./doctor.ts";
import { evict } from "./evict.ts";
import { exportAll } from "./export.ts";
import { get } from "./get.ts";
import { history } from "./history.ts";
import { manifests } from "./manifests.ts";
import { pin, pins, unpin } from "./pins.ts";
import { quarantine } from "./quarantine.ts";
import { recover } from "./recover.ts";
import { scan } from "./scan.ts";
import { create, initialise } from "./scaffold.ts";
import { sendFile } from "./send-command.ts";
import { snapshot } from "./snapshot.ts";
import { status } from "./status.ts";
import { verify } from "./verify.ts";
import { verifyPartition } from "./verify-partition.ts";
import { watch } from "./watch.ts";

/** In the order of the help page. */
const COMMANDS: readonly (readonly [heading: string, commands: readonly AddCommand[]])[] = [
  ["Begin:", [initialise, create]],
  ["Events and state:", [sendFile, ask, get, scan, history, watch, exportAll]],
  [
    "Inspect and operate:",
    [status, doctor, snapshot, manifests, pins, pin, unpin, verifyPartition, evict, quarantine, recover, adopt],
  ],
  ["Files, without the app:", [cat, diff, verify, cost]],
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
    error instanceof Trouble ||
    error instanceof Damage ||
    error instanceof Failure ||
    isSystemError(error)
  );
  const text = bug && error instanceof Error ? `this is a bug: ${error.stack ?? error.message}` : messageOf(error);
  const unknown = error instanceof Silence && error.unknown ? "\nThe outcome is unknown." : "";
  screen.say(`${screen.paintError("red", "keyframe:")} ${text}${unknown}`);
  return error instanceof No ? NO : TROUBLE;
}

/** For example a file that is missing, or may not be read. */
const isSystemError = (error: unknown): boolean => error instanceof Error && "syscall" in error;
