/** The CloudEvents SDK as a sender, by its own transport, to the app in processes of its own. It only runs in Node. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CloudEvent, emitterFor, httpTransport, Mode, type CloudEventV1 } from "cloudevents";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startRuntime, type Runtime } from "../../src/local/runtime.ts";

const stateDir = mkdtempSync(join(tmpdir(), "keyframe-sdk-"));
let app: Runtime;

beforeAll(async () => {
  app = await startRuntime({ port: 0, stateDir, group: "own" });
});
afterAll(async () => {
  await app.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

type Answer = Readonly<Record<string, unknown>>;
const FULL = { headers: { prefer: "return=representation" } };

/** The app's answer to an event that the SDK sends. */
async function emit(event: CloudEvent<unknown>, mode: Mode, path = "/v1/events"): Promise<Answer> {
  const { body } = (await emitterFor(httpTransport(`${app.url}${path}`), { mode })(event, FULL)) as { body: string };
  return JSON.parse(body) as Answer;
}

async function stateOf(operator: string, key: string): Promise<unknown> {
  const response = await fetch(`${app.url}/v1/operators/${operator}/state?key=${encodeURIComponent(key)}`);
  return ((await response.json()) as { value: unknown }).value;
}

const line = (subject: string, data: unknown, more: Partial<CloudEventV1<unknown>> = {}): CloudEvent<unknown> =>
  new CloudEvent({ type: "text.line", source: "/sdk", subject, data, ...more });
const valuesOf = (answer: Answer): unknown[] => (answer["results"] as { value: unknown }[]).map(({ value }) => value);

describe.each([Mode.BINARY, Mode.STRUCTURED])("the SDK in %s mode", (mode) => {
  test("JSON, and the same event once more", async () => {
    const bought = new CloudEvent({
      type: "credits.bought",
      source: "https://sdk.example/a",
      data: { account: `json-${mode}`, n: 3 },
    });
    expect(await emit(bought, mode)).toMatchObject({ received: 1, accepted: 1, errors: [] });
    expect(await emit(bought, mode)).toMatchObject({ accepted: 0, duplicates: 1 });
    expect(await stateOf("credits", `json-${mode}`)).toEqual({ left: 3, taken: 0 });
  });

  test("all attributes, and extensions of each type", async () => {
    const event = line(`all ${mode}, (of) them`, "x", {
      id: `all-${mode}`,
      time: "2026-01-31T12:00:00.000Z",
      datacontenttype: "text/plain",
      dataschema: "https://sdk.example/schema",
      yes: true,
      five: 5,
      text: "a+b/c=d",
    });
    const answer = await emit(event, mode);
    expect(answer, JSON.stringify(answer)).toMatchObject({ accepted: 1 });
    expect(await stateOf("uppercase", `all ${mode}, (of) them`)).toMatchObject({ last: "X" });
  });

  test("text as text, also from bytes in binary mode", async () => {
    const texts = [line(`text-${mode}`, "<é/>", { datacontenttype: "application/xml" })];
    if (mode === Mode.BINARY)
      texts.push(line(`text-${mode}`, new TextEncoder().encode("bytes é"), { datacontenttype: "text/plain" }));
    for (const event of texts) expect(await emit(event, mode)).toMatchObject({ accepted: 1 });
    expect(await stateOf("uppercase", `text-${mode}`)).toEqual({
      processedRecordsCount: texts.length,
      last: mode === Mode.BINARY ? "BYTES É" : "<É/>",
    });
  });

  test("bytes arrive as bytes: this operator's schema wants text, and sees none", async () => {
    const event = line("bytes", new Uint8Array([0, 255, 1]), { datacontenttype: "application/octet-stream" });
    const answer = await emit(event, mode);
    expect(answer).toMatchObject({ status: 422, code: "invalid_data", errors: [{ id: event.id }] });
    expect(answer["detail"]).toContain("received null");
  });

  test("ask", async () => {
    const take = new CloudEvent({ type: "credits.take", source: "/sdk", data: { account: `json-${mode}`, n: 2 } });
    const answer = await emit(take, mode, "/v1/operators/credits/ask");
    expect(answer).toMatchObject({ value: { left: 1 }, key: `json-${mode}`, duplicate: false });
  });
});

test("one event in binary and in structured mode counts once", async () => {
  const event = line("once", "one", { datacontenttype: "text/plain", partitionkey: "p" });
  expect(valuesOf(await emit(event, Mode.BINARY))).toEqual(["ONE"]);
  expect(await emit(event, Mode.STRUCTURED)).toMatchObject({ duplicates: 1 });
});

test("a batch of the SDK's events; it has no emitter for one", async () => {
  const events = ["a", "b", "c"].map((text) => line("batch", text));
  const response = await fetch(`${app.url}/v1/events`, {
    method: "POST",
    headers: { "content-type": "application/cloudevents-batch+json; charset=utf-8", ...FULL.headers },
    body: JSON.stringify(events),
  });
  const answer = (await response.json()) as Answer;
  expect(answer).toMatchObject({ received: 3, accepted: 3 });
  expect(await stateOf("uppercase", "batch")).toEqual({ processedRecordsCount: 3, last: "C" });
});

test("what the SDK sends against the standard is refused by name", async () => {
  // It doesn't encode the values of headers: what a percent in them stands for is decoded, and then is no URI.
  const percent = line("s", "x", { source: "/caf%C3%A9", datacontenttype: "text/plain" });
  expect(await emit(percent, Mode.BINARY)).toMatchObject({ status: 422, code: "invalid_source", attribute: "source" });
  expect(await emit(percent, Mode.STRUCTURED)).toMatchObject({ accepted: 1 });
  const alone = line("100%", "x", { datacontenttype: "text/plain" });
  expect(await emit(alone, Mode.BINARY)).toMatchObject({ status: 422, code: "invalid_subject", attribute: "subject" });
  // A string of type JSON must be JSON text; it sends it as it is.
  expect(await emit(line("s", "no JSON"), Mode.BINARY)).toMatchObject({ status: 400, code: "malformed_json" });
});
