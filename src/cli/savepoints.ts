/** `keyframe save NAME`, `savepoints`, `unsave NAME`: named moments of all operators, which retention keeps. */
import { count } from "../client/amounts.ts";
import { SAVEPOINTS_PATH, savepointPath } from "../client/paths.ts";
import type { SavepointInfo } from "../client/savepoints.ts";
import {
  type AppOptions,
  AppClient,
  DELETE_REQUEST,
  fine,
  online,
  problemCode,
  putJson,
  saidBy,
  timelineOption,
} from "./app.ts";
import { type AtOption, atOption } from "./at.ts";
import { examples, NO, YES, type AddCommand } from "./command.ts";
import { table } from "./text.ts";

/** The answer is no: another moment has the name, the moment isn't there, or there is no room. */
const NOES = new Set(["savepoint_exists", "too_many_savepoints", "not_settled", "moment_gone"]);

export const saveCommand: AddCommand = (program, cli, done) => {
  atOption(online(program.command("save")))
    .description("Save a moment of all operators under a name, until it is removed")
    .argument("<name>")
    .addHelpText(
      "after",
      examples("keyframe save before-sale", "keyframe save month-end --at 2026-11-30T23:59:59Z") +
        "\n\nNothing is stopped or woken. Without --at, now: all that was acknowledged is in it. The same again changes nothing.\nExit status: 0 saved, 1 the name stands for another moment, or the moment can't be had, 2 the request failed.",
    )
    .action(async (name: string, { at, ...options }: AppOptions & AtOption) => {
      const { screen } = cli;
      const body = JSON.stringify(at === undefined ? {} : { at });
      const answer = await new AppClient(options, cli).askAgain(savepointPath(name), putJson(body));
      const no = NOES.has(problemCode(answer));
      const saved = (no ? answer.body : fine(answer)) as SavepointInfo;
      if (options.json) await screen.print(JSON.stringify(saved));
      else if (no) screen.say(saidBy(answer));
      else {
        await screen.print(`${saved.name} is stamp ${saved.at}, ${saved.time}`);
        if (!saved.restorable) screen.say(`it can be recovered from R2 alone after ${waitsFor(saved)}`);
      }
      done(no ? NO : YES);
    });
};

export const savepointsCommand: AddCommand = (program, cli, done) => {
  timelineOption(online(program.command("savepoints")))
    .description("List the savepoints")
    .addHelpText("after", examples("keyframe savepoints"))
    .action(async (options: AppOptions) => {
      const { screen } = cli;
      const found = (await new AppClient(options, cli).get(SAVEPOINTS_PATH)) as readonly SavepointInfo[];
      if (options.json) for (const one of found) await screen.print(JSON.stringify(one));
      else if (found.length === 0) screen.say("there is no savepoint");
      else {
        const rows = found.map((one) => [
          one.name,
          String(one.at),
          one.time,
          one.created,
          one.restorable ? "yes" : `after ${waitsFor(one)}`,
        ]);
        const headings = ["NAME", ">STAMP", "MOMENT", "SAVED", "IN R2"];
        for (const line of table(headings, rows, screen.paint)) await screen.print(line);
      }
      done(YES);
    });
};

export const unsaveCommand: AddCommand = (program, cli, done) => {
  timelineOption(online(program.command("unsave")))
    .description("Remove a savepoint")
    .argument("<name>")
    .addHelpText(
      "after",
      examples("keyframe unsave before-sale") +
        "\n\nRetention alone decides again. Removing a savepoint that isn't there changes nothing.",
    )
    .action(async (name: string, options: AppOptions) => {
      const removed = fine(await new AppClient(options, cli).askAgain(savepointPath(name), DELETE_REQUEST));
      await cli.screen.print(options.json ? JSON.stringify(removed) : `savepoint ${name} is removed`);
      done(YES);
    });
};

const waitsFor = ({ unarchived = 0 }: SavepointInfo): string =>
  unarchived === 1 ? "the next snapshot of 1 partition" : `the next snapshots of ${count(unarchived)} partitions`;
