/** `keyframe manifests OP N`: the manifests of a partition that are kept, newest first. */
import type { KeptManifest } from "../client/admin-answers.ts";
import type { Manifest } from "../engine/snapshot/manifest.ts";
import { AppClient, online, pathOfPartition, timelineOption, type AppOptions } from "./app.ts";
import { examples, NO, YES, type AddCommand } from "./command.ts";
import { MANIFEST_HEADINGS, manifestRow } from "./manifest-line.ts";
import { table } from "./text.ts";

export const manifestsCommand: AddCommand = (program, cli, done) => {
  timelineOption(online(program.command("manifests")))
    .description("List the manifests of a partition that are kept, newest first")
    .argument("<operator>")
    .argument("<partition>")
    .addHelpText(
      "after",
      examples("keyframe manifests usage 0", "keyframe manifests usage 0 --json | jq -r .snapshot.name") +
        "\n\nWROTE: bytes that the snapshot wrote. READS, FILES: bytes and files that a recovery from it reads.\nExit status: 0 all are readable, 1 a manifest isn't, 2 the request failed.",
    )
    .action(async (operator: string, partition: string, options: AppOptions) => {
      const { screen } = cli;
      const kept = (await new AppClient(options, cli).get(
        `${pathOfPartition(operator, partition)}/manifests`,
      )) as KeptManifest[];
      const whole = kept.filter((one): one is Manifest => !("unreadable" in one));
      if (options.json) for (const one of kept) await screen.print(JSON.stringify(one));
      else {
        for (const line of table(MANIFEST_HEADINGS, whole.map(manifestRow), screen.paint)) await screen.print(line);
        for (const one of kept)
          if ("unreadable" in one) screen.say(`${screen.paintError("red", "unreadable:")} ${one.unreadable}`);
      }
      done(whole.length === kept.length ? YES : NO);
    });
};
