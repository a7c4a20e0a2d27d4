/** Every command says how it is called, with examples, and that help is no failure. */
import { describe, expect, it } from "vitest";
import { run } from "./run.ts";

const help = (await run(["--help"])).out;
const commands = help.flatMap((line) => /^ {2}([a-z-]+) \[options\]/.exec(line)?.[1] ?? []);

describe("keyframe --help", () => {
  it("lists all commands, and what the exit status means", () => {
    const all =
      "init new send ask get timers scan history blame watch changes export diff status doctor snapshot manifests pins pin unpin save savepoints unsave fork timelines unfork promote rollback reprocess rescale check verify-partition evict quarantine recover adopt cat verify cost";
    expect(commands).toEqual(all.split(" "));
    expect(help.join("\n")).toContain("Exit status: 0");
  });

  it.each(commands)("%s --help has examples and knows --json", async (command) => {
    const { status, out, err } = await run([command, "--help"]);
    expect([status, err]).toEqual([0, ""]);
    expect(out.join("\n")).toMatch(new RegExp(`Examples:\n  keyframe ${command}`));
    expect(out.some((line) => line.includes("--json"))).toBe(true);
  });

  it("without a command it is shown, and the status says that nothing was done", async () => {
    const { status, err } = await run([]);
    expect(status).toBe(2);
    expect(err).toContain("Usage: keyframe");
  });
});
