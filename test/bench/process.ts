// The operating system's figures of a process: memory, and processor time where /proc has it.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

/** The unit of /proc/PID/stat on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface Memory {
  residentMb: number;
  peakMb: number | undefined;
}

export function memoryOf(pid: number): Memory {
  if (!existsSync(`/proc/${pid}/status`)) {
    const kilobytes = Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" }));
    return { residentMb: kilobytes / 1024, peakMb: undefined };
  }
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const megabytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? Number.NaN) / 1024;
  return { residentMb: megabytes("VmRSS"), peakMb: megabytes("VmHWM") };
}

/** Seconds of processor time used so far, or undefined where the system doesn't say. */
export function cpuSecondsOf(pid: number): number | undefined {
  if (!existsSync(`/proc/${pid}/stat`)) return undefined;
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The command's name may hold spaces and parentheses; the numbered fields begin after the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
