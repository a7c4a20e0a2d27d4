/*
 * The processes of one local runtime: which they are, and how to end them.
 *
 * A runtime is a guard process, its descendants, and orphans: workerd and esbuild outlive wrangler if it is killed. The
 * guard's process group identifies the orphans.
 *
 * 1. Processes are ended by their own ids; never by name alone.
 * 2. A zombie counts as gone: it holds no port and no file, and only its parent can clear it away.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

interface ProcessInfo {
  pid: number;
  parent: number;
  group: number;
  name: string;
  /** The start time, in the system's unit. It tells the process from a later one with the same id. */
  started: string;
}

export interface RuntimeIdentity {
  guard: number;
  group: number;
  /**
   * Whether the group holds only the runtime. Otherwise the runtime shares the group of the process that started it.
   */
  ownsGroup: boolean;
}

/** The processes that wrangler starts. In a shared group only these count as orphans of the runtime. */
const ORPHAN_NAMES = new Set(["workerd", "esbuild"]);

/**
 * Each round kills all processes found. A second round finds those forked during the first. 500 rounds are about 5 s.
 */
const KILL_ROUNDS = 500;
const KILL_ROUND_MS = 10;

export function runtimeProcesses(identity: RuntimeIdentity): ProcessInfo[] {
  const all = listProcesses();
  const members = new Set(descendants(identity.guard, all));
  const groupPids = new Set(all.filter((p) => p.group === identity.group).map((p) => p.pid));
  for (const process of all) {
    if (process.group !== identity.group) continue;
    const orphan = ORPHAN_NAMES.has(process.name) && !groupPids.has(process.parent);
    if (identity.ownsGroup || orphan) members.add(process);
  }
  return [...members];
}

/** SIGKILL to all of a runtime. Resolves with the number killed when none is left, or rejects if some stay. */
export async function killRuntime(identity: RuntimeIdentity): Promise<number> {
  const killed = new Set<number>();
  for (let round = 0; round < KILL_ROUNDS; round++) {
    const alive = strike(identity);
    if (alive.length === 0) return killed.size;
    for (const pid of alive) killed.add(pid);
    await new Promise((resolve) => setTimeout(resolve, KILL_ROUND_MS));
  }
  throw new Error(`processes ${strike(identity).join(", ")} stay alive after SIGKILL`);
}

/** For the guard: kills without the event loop, in a process that is about to exit. */
export function killRuntimeSync(identity: RuntimeIdentity): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let round = 0; round < KILL_ROUNDS; round++) {
    if (strike(identity).length === 0) return;
    Atomics.wait(pause, 0, 0, KILL_ROUND_MS);
  }
}

export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // The process ended between the listing and the signal. macOS returns EPERM for a group of zombies.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

/** Every process on the machine that this user can see, zombies left out. */
export function listProcesses(): ProcessInfo[] {
  return process.platform === "linux" ? listFromProc() : listFromPs();
}

function strike(identity: RuntimeIdentity): number[] {
  const pids = runtimeProcesses(identity)
    .map((p) => p.pid)
    .filter((pid) => pid !== process.pid);
  for (const pid of pids) sendSignal(pid, "SIGKILL");
  return pids;
}

function descendants(root: number, all: ProcessInfo[]): ProcessInfo[] {
  const found = all.filter((p) => p.pid === root);
  // The list grows during the loop, and ends because no process is its own ancestor.
  for (const parent of found) found.push(...all.filter((p) => p.parent === parent.pid));
  return found;
}

/** Reads `/proc` rather than `ps`, which slim container images lack. */
function listFromProc(): ProcessInfo[] {
  const list: ProcessInfo[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const info = parseStat(statOf(entry));
    if (info !== null) list.push(info);
  }
  return list;
}

function statOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return ""; // The process ended after the directory was read.
  }
}

/** `pid (name) state ppid pgrp …`. The name may itself hold blanks and parentheses. */
function parseStat(stat: string): ProcessInfo | null {
  const match = /^(\d+) \((.*)\) (.*)/s.exec(stat);
  if (match === null) return null;
  const [, pid, name = "", rest = ""] = match;
  const [state, parent, group, ...others] = rest.split(" ");
  if (state === "Z" || state === "X") return null;
  // proc(5) numbers from 1: state is field 3, so the first of the others is field 6, and starttime field 22.
  return { pid: Number(pid), parent: Number(parent), group: Number(group), name, started: others[16] ?? "" };
}

const PS_COLUMNS = "pid=,ppid=,pgid=,stat=,lstart=,comm=";

function listFromPs(): ProcessInfo[] {
  const list: ProcessInfo[] = [];
  for (const line of execFileSync("ps", ["-A", "-o", PS_COLUMNS], { encoding: "utf8" }).split("\n")) {
    // lstart is five words, like "Mon Nov 23 08:07:12 2026".
    const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+((?:\S+\s+){4}\S+)\s+(.*)$/.exec(line);
    if (match === null || match[4]?.startsWith("Z") === true) continue;
    const [, pid, parent, group, , started = "", command = ""] = match;
    const name = command.split("/").at(-1) ?? "";
    list.push({ pid: Number(pid), parent: Number(parent), group: Number(group), name, started });
  }
  return list;
}
