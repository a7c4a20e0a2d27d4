/*
 * The package is built and packed once for all files, before the first: its build empties `dist`, so two at the same
 * time would break each other.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { TestProject } from "vitest/node";
import { PROJECT_DIR } from "../../src/local/config.ts";
import { pack } from "./packed.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The path of the package's tarball. */
    readonly tarball: string;
  }
}

export default function packOnce(project: TestProject): () => void {
  const folder = mkdtempSync(path.join(tmpdir(), "keyframe-packed-"));
  project.provide("tarball", pack(PROJECT_DIR, folder));
  return () => rmSync(folder, { recursive: true, force: true });
}
