/** `--after`: the stamp that goes from one command to the next (TIME1). */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { against, type Given } from "./scripted-server.ts";

const folder = mkdtempSync(join(tmpdir(), "keyframe-after-"));
afterAll(() => rmSync(folder, { recursive: true }));
const events = join(folder, "events.ndjson");
writeFileSync(events, '{"type":"t","id":"1"}\n');

const STAMP = "1839176274792447";
const headers = { "keyframe-stamp": STAMP };
const applied: Given = { body: { value: 7, key: "a", partition: 0, seq: 1, duplicate: false }, headers };
const refused: Given = { ...applied, status: 409, body: { ...(applied.body as object), code: "poor", detail: null } };
const counts = { received: 1, accepted: 1, duplicates: 0, refused: 0, rejected: 0, quarantined: 0, unrouted: 0 };
const sent: Given = { body: { ...counts, through: 1, errors: [] }, headers };

const ask = (answer: Given, ...more: string[]) => against([answer], "ask", "usage", '{"type":"t"}', ...more);

it("ask says the stamp for the next command, and takes it", async () => {
  const first = await ask(applied, "--after", "0");
  expect([first.status, first.out, first.err]).toEqual([0, ["7"], `for the next command: --after ${STAMP}\n`]);
  expect(first.heard[0]!.headers["keyframe-stamp"]).toBeUndefined();
  const next = await ask(refused, "--after", "1839176274792448");
  expect(next.heard[0]!.headers["keyframe-stamp"]).toBe("1839176274792448");
  expect([next.status, next.err]).toEqual([1, expect.stringContaining("--after 1839176274792448\n")]);
});

it("send takes it", async () => {
  const { status, heard } = await against([sent], "send", events, "--after", "5");
  expect([status, heard[0]!.headers["keyframe-stamp"]]).toEqual([0, "5"]);
});

it("without it nothing is said or sent", async () => {
  const { err, heard } = await ask(applied);
  expect([err, heard[0]!.headers["keyframe-stamp"]]).toEqual(["", undefined]);
});

it.each(["soon", "-1", "1.5", "99999999999999999"])("%s is no stamp", async (text) => {
  const { status, err, requests } = await ask(applied, `--after=${text}`);
  expect([status, requests]).toEqual([2, []]);
  expect(err).toContain("--after must be a stamp");
});
