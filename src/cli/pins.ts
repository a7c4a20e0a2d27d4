/**
 * `keyframe pins OP N`, `pin OP N MANIFEST`, `unpin OP N MANIFEST`: pins keep a snapshot, whatever retention says
 * (SNAP10).
 */
import {
  AppClient,
  problemCode,
  DELETE_REQUEST,
  fine,
  online,
  pathOfPartition,
  POST_REQUEST,
  saidBy,
  timelineOption,
  type TimedAnswer,
  type AppOptions,
} from "./app.ts";
import { examples, NO, wholeNumber, YES, type AddCommand, type Cli, type Status } from "./command.ts";
import { table } from "./text.ts";

interface PinInfo {
  readonly manifest: number;
  readonly name: string;
  readonly since: string;
}

interface PinOptions extends AppOptions {
  readonly name: string;
}

export const pinsCommand: AddCommand = (program, cli, done) => {
  timelineOption(online(program.command("pins")))
    .description("List the pinned snapshots of a partition, and who holds each")
    .argument("<operator>")
    .argument("<partition>")
    .addHelpText("after", examples("keyframe pins usage 0"))
    .action(async (operator: string, partition: string, options: AppOptions) => {
      const { screen } = cli;
      const held = (await new AppClient(options, cli).get(`${pathOfPartition(operator, partition)}/pins`)) as PinInfo[];
      if (options.json) for (const one of held) await screen.print(JSON.stringify(one));
      else if (held.length === 0) screen.say("nothing is pinned");
      else {
        const rows = held.map(({ manifest, name, since }) => [String(manifest), name, since]);
        for (const line of table([">MANIFEST", "NAME", "SINCE"], rows, screen.paint)) await screen.print(line);
      }
      done(YES);
    });
};

export const pinCommand: AddCommand = (program, cli, done) => {
  timelineOption(online(program.command("pin")))
    .description("Keep a snapshot, whatever retention says, until it is unpinned")
    .argument("<operator>")
    .argument("<partition>")
    .argument("<manifest>", "its number in the list of manifests")
    .option("--name <name>", "name of the holder; a snapshot is kept while any name holds it", "admin")
    .addHelpText(
      "after",
      examples("keyframe pin usage 0 12", "keyframe pin usage 0 12 --name audit-2026") +
        "\n\nThe pin holds from the answer on, and R2 bills its files. Exit status: 0 pinned, 1 the snapshot isn't kept any more,\nor too many are pinned, 2 the request failed.",
    )
    .action(async (operator: string, partition: string, manifest: string, options: PinOptions) => {
      const answer = await new AppClient(options, cli).askAgain(
        pathOf(operator, partition, manifest, options),
        POST_REQUEST,
      );
      done(
        await told(answer, `manifest ${manifest} of partition ${partition} is held by ${options.name}`, options, cli),
      );
    });
};

export const unpinCommand: AddCommand = (program, cli, done) => {
  timelineOption(online(program.command("unpin")))
    .description("Release a pinned snapshot")
    .argument("<operator>")
    .argument("<partition>")
    .argument("<manifest>", "its number in the list of pins")
    .option("--name <name>", "name of the holder", "admin")
    .addHelpText(
      "after",
      examples("keyframe unpin usage 0 12", "keyframe unpin usage 0 12 --name audit-2026") +
        "\n\nIf nothing holds the snapshot any more, retention decides. Releasing a snapshot that isn't pinned changes nothing.",
    )
    .action(async (operator: string, partition: string, manifest: string, options: PinOptions) => {
      const answer = await new AppClient(options, cli).askAgain(
        pathOf(operator, partition, manifest, options),
        DELETE_REQUEST,
      );
      done(
        await told(
          answer,
          `manifest ${manifest} of partition ${partition} is no longer held by ${options.name}`,
          options,
          cli,
        ),
      );
    });
};

function pathOf(operator: string, partition: string, manifest: string, { name }: PinOptions): string {
  const number = wholeNumber(manifest, "a manifest's number");
  const query = new URLSearchParams({ name });
  return `${pathOfPartition(operator, partition)}/manifests/${number}/pin?${query.toString()}`;
}

const NOES = new Set(["no_restore_point", "too_many_pins"]);

async function told(answer: TimedAnswer, done: string, { json }: AppOptions, { screen }: Cli): Promise<Status> {
  const no = NOES.has(problemCode(answer));
  const body = no ? answer.body : fine(answer);
  if (json) await screen.print(JSON.stringify(body));
  else if (no) screen.say(saidBy(answer));
  else await screen.print(done);
  return no ? NO : YES;
}
