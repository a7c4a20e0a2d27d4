/** C1: what a browser loads of the client is the client: nothing of the engine, of operators, or of Node. */
import path from "node:path";
import { build } from "esbuild";
import { expect, it } from "vitest";

it("a bundle for browsers holds files of the client only", async () => {
  const root = path.join(import.meta.dirname, "../..");
  const { metafile, errors, warnings } = await build({
    absWorkingDir: root,
    entryPoints: ["src/client/client.ts"],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    write: false,
    metafile: true,
    outdir: "none",
  });
  expect([...errors, ...warnings]).toEqual([]);
  const others = Object.keys(metafile.inputs).filter((file) => !file.startsWith("src/client/"));
  expect(others).toEqual([]);
  const [output] = Object.values(metafile.outputs);
  expect(output!.imports).toEqual([]);
  expect(output!.bytes).toBeLessThan(37_000);
});
