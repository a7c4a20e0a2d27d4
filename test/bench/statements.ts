// `statements`: what the statements of the log and of the object's cache cost, by the size of a row. In a process of
// its own, since the adapters have the platform's types.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export async function statements(): Promise<void> {
  const file = fileURLToPath(new URL("stores/run.ts", import.meta.url));
  const { status } = spawnSync(process.execPath, [file], { stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}
