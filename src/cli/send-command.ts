/** The options of `keyframe send FILE|-`. The work is in send.ts. */
import { afterOption, AppClient, online, timelineOption, type AppOptions } from "./app.ts";
import { examples, type AddCommand } from "./command.ts";
import { send } from "./send.ts";

interface SendFlags extends AppOptions {
  readonly resumeFile?: string;
  readonly idempotencyKey?: string;
  readonly gzip?: boolean;
}

export const sendFileCommand: AddCommand = (program, cli, done) => {
  afterOption(timelineOption(online(program.command("send"))))
    .description("Send a file of events (NDJSON, plain or gzip), and resume where it stopped if it is started again")
    .argument("<file>", "- for standard input")
    .option(
      "--resume-file <file>",
      "file that records the progress; default FILE.keyframe-progress, none for standard input",
    )
    .option("--idempotency-key <key>", "how ids of lines that have none begin; default a digest of the file")
    .option("--gzip", "compress the requests, for a slow connection to the app")
    .addHelpText(
      "after",
      examples(
        "keyframe send events.ndjson",
        "keyframe send events.ndjson.gz --json",
        "producer | keyframe send - --idempotency-key 2026-11-24",
      ),
    )
    .action(async (file: string, { resumeFile, idempotencyKey, gzip, json, ...where }: SendFlags) => {
      const { url, token, timeline, after } = new AppClient(where, cli);
      const status = await send({
        file,
        url,
        ...(token === null ? {} : { token }),
        ...(timeline === null ? {} : { timeline }),
        ...(after === null ? {} : { after }),
        ...(resumeFile === undefined ? {} : { resumeFile }),
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
        ...(gzip === undefined ? {} : { gzip }),
        ...(json === undefined ? {} : { json }),
        stdin: process.stdin,
        // The screen knows whether the line could be written.
        out: { write: (line) => void cli.screen.print(line.replace(/\n$/, "")) },
        err: process.stderr,
      });
      done(status);
    });
};
