/** `keyframe send` as a process of its own, with its options as JSON: what a test can kill. */
import { send, type SendFileOptions } from "../../src/cli/send.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as Omit<SendFileOptions, "stdin" | "out" | "err">;
process.exitCode = await send({ ...options, stdin: process.stdin, out: process.stdout, err: process.stderr });
