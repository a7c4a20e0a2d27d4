/** `keyframe verify FILE...`: is a file intact? Says what is wrong, where, and what to do. Works without the app. */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { brotli } from "../adapters/brotli.ts";
import { readManifestObject } from "../engine/snapshot/manifest-object.ts";
import { stateFiles, type Manifest } from "../engine/snapshot/manifest.ts";
import { examples, NO, CommandError, YES, type AddCommand, type Cli } from "./command.ts";
import { openFile, type StoredFile } from "./file.ts";
import { inspect, type FileFinding, type Report } from "./inspect.ts";
import { count } from "../client/amounts.ts";

interface Options {
  readonly manifest?: string;
  readonly json?: boolean;
}

export const verifyCommand: AddCommand = (program, cli, done) => {
  program
    .command("verify")
    .description(
      "Check files: magic, versions, checksums, counts, order of keys (of a running partition: verify-partition)",
    )
    .argument("<file...>", "snapshots (.kfs) and manifests (.kfm)")
    .option("--manifest <file>", "also compare size and SHA-256 of the snapshots with what this manifest says")
    .option("--json", "one JSON object for each file")
    .addHelpText(
      "after",
      examples("keyframe verify *.kfs *.kfm", "keyframe verify full.kfs delta.kfs --manifest 0000000012-….kfm") +
        "\n\nExit status: 0 all are intact, 1 a file is corrupt, 2 a file can't be read at all.",
    )
    .action(async (names: readonly string[], options: Options) => {
      const manifest = options.manifest === undefined ? null : openManifest(options.manifest);
      let whole = true;
      for (const name of names) {
        const file = openFile(name);
        const report = inspect(file);
        const against = manifest === null || file.kind === "manifest" ? [] : compareWith(manifest, file);
        const findings = [...report.findings, ...against];
        whole &&= findings.length === 0;
        await printReport(name, { ...report, findings }, options, cli);
      }
      done(whole ? YES : NO);
    });
};

function openManifest(name: string): Manifest {
  const file = openFile(name);
  if (file.kind !== "manifest") throw new CommandError(`${name} is a snapshot; --manifest takes a manifest (.kfm)`);
  return readManifestObject(file.bytes, brotli).manifest;
}

/** A file may have been renamed, so its content may say which one it is. */
function compareWith(manifest: Manifest, { name, bytes }: StoredFile): FileFinding[] {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const named = stateFiles(manifest);
  if (named.some((one) => one.sha256 === sha256 && one.bytes === bytes.length)) return [];
  const meant = named.find((one) => basename(one.name) === basename(name));
  const what =
    meant === undefined
      ? `manifest ${manifest.number} names no file of ${count(bytes.length)} bytes with SHA-256 ${sha256}; it names ${named.map((one) => basename(one.name)).join(", ")}`
      : `the file has ${count(bytes.length)} bytes and SHA-256 ${sha256}; manifest ${manifest.number} says ${count(meant.bytes)} and ${meant.sha256}`;
  return [{ offset: null, what, foreign: false }];
}

async function printReport(name: string, report: Report, { json }: Options, { screen }: Cli): Promise<void> {
  const { title, facts, findings } = report;
  const ok = findings.length === 0;
  if (json) {
    const shown = findings.map(({ offset, what, foreign }) => ({ offset, code: codeOf(foreign), what }));
    return screen.print(JSON.stringify({ file: name, ok, title, ...facts, findings: shown, advice: adviceOf(report) }));
  }
  await screen.print(
    `${ok ? screen.paint("green", "intact ") : screen.paint("red", "corrupt")} ${name}: ${title ?? "of an unknown kind"}`,
  );
  for (const { offset, what } of findings)
    await screen.print(`    ${offset === null ? "" : `at byte ${count(offset)}: `}${what}`);
  const advice = adviceOf(report);
  if (advice !== null) await screen.print(`    ${screen.paint("dim", advice)}`);
}

const codeOf = (foreign: boolean): string => (foreign ? "unknown_format" : "damaged");

function adviceOf({ findings }: Report): string | null {
  if (findings.length === 0) return null;
  if (findings.every(({ foreign }) => foreign))
    return "Newer code wrote it: verify it with the command line of that version.";
  return "Compare it with the object in R2, since only the copy may be corrupt. If the object is corrupt, the partition recovers from an older generation by itself, and its next snapshot is full.";
}
