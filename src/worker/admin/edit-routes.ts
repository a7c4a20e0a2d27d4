/**
 * `PUT` and `DELETE /v1/operators/{op}/state?key=`: an edit of a state, on condition that the state is unchanged.
 *
 * EDITROUTES1. The condition is required. It is decided inside the partition, in the order of seqs
 *     (engine/state/edit.ts).
 * EDITROUTES2. A body that can't be a state is refused here, before it is logged.
 */
import { keyFlaw, partitionOfKey, type Route } from "../../engine/operator/routing.ts";
import { PUT, REMOVE, type Condition, type Edit } from "../../engine/state/edit.ts";
import { unsafeLiteral } from "../../engine/event/event.ts";
import { exceeds, NULL_STATE, toJson } from "../../engine/base/json.ts";
import { NAME_BYTES, PARSED_CHARS, STATE_BYTES } from "../../engine/base/limits.ts";
import { parseOutcome } from "../../engine/log/outcome.ts";
import { quarantineId } from "../../engine/state/quarantine.ts";
import { isDuplicate, STATUS, type AppendResponse } from "../../engine/partition/protocol.ts";
import type { Env } from "../env.ts";
import { BodyError, bodyText } from "../http/body.ts";
import { sendCommand } from "../ingest/command.ts";
import { etagOf, tagsOf } from "../http/etag.ts";
import { problem } from "../problem.ts";

const SOURCE = "keyframe:edit";
/** Bounds the conditional headers, with room for many ETags. */
const CONDITION_CHARS = 4_096;

interface Place {
  readonly route: Route;
  readonly key: string;
  readonly partition: number;
}

export async function editState(
  request: Request,
  env: Env,
  route: Route,
  key: string | null,
  what: "put" | "delete",
): Promise<Response> {
  const flaw = keyFlaw(key ?? "");
  if (key === null || flaw !== null)
    return problem({ status: 400, code: "invalid_key", detail: `?key= must name a key: ${flaw ?? "there is none"}` });
  const partition = partitionOfKey(route, key);
  if (partition === null)
    return problem({ status: 400, code: "invalid_key", detail: "no group can be made of the key" });
  const place = { route, key, partition };
  const condition = conditionOf(request.headers, partition);
  if (condition instanceof Response) return condition;
  const id = idOf(request.headers);
  if (id instanceof Response) return id;
  const { version } = route.operator;
  if (what === "delete") return send(env, place, REMOVE, id, { if: condition, version }, null);
  const text = await stateOf(request);
  if (text instanceof Response) return text;
  return send(env, place, PUT, id, { if: condition, version, state: JSON.parse(text) }, text);
}

async function send(
  env: Env,
  { route, key, partition }: Place,
  type: string,
  id: string,
  data: Edit,
  text: string | null,
): Promise<Response> {
  const address = route.addresses[partition]!;
  const result = await sendCommand(env, route, address, { type, source: SOURCE, id, key, data });
  if (result.tag !== "decided") return problem({ status: 503, code: result.code, detail: result.message });
  const { seq, duplicate, refused } = heard(result, partition);
  if (refused !== null) return problem({ ...refused, more: { key, partition, seq, duplicate } });
  // The ETag is a member and no header: the stored state isn't the body byte for byte (RFC 9110, 9.3.4).
  const etag = text === null || duplicate ? {} : { etag: etagOf(partition, { seq, text }) };
  return Response.json({ operator: route.operator.name, key, partition, seq, duplicate, ...etag });
}

interface Heard {
  readonly seq: number;
  readonly duplicate: boolean;
  readonly refused: { readonly status: number; readonly code: string; readonly detail: string } | null;
}

function heard({ statuses, details }: Extract<AppendResponse, { tag: "decided" }>, partition: number): Heard {
  const status = statuses[0]!;
  const [, seq, text] = details[0]!;
  const said = (refused: Heard["refused"]): Heard => ({ seq, duplicate: isDuplicate(status), refused });
  if (status === STATUS.reused)
    return said({
      status: 409,
      code: "id_reused",
      detail: `this Idempotency-Key belongs to another edit, seq ${seq}; give every edit its own`,
    });
  const outcome = text === null ? null : parseOutcome(text);
  switch (outcome?.tag) {
    case "refused":
      return said(
        outcome.code === "precondition_failed"
          ? { status: 412, code: outcome.code, detail: "the state doesn't meet the condition; read it again" }
          : { status: 409, code: outcome.code, detail: `the edit was refused: ${outcome.detail}` },
      );
    case "quarantined":
      return said({
        status: 422,
        code: "quarantined",
        detail: `the state could not be put, and is in the quarantine as ${quarantineId(partition, seq)}: ${outcome.error}`,
      });
    default:
      return said(null);
  }
}

/** Returns the condition on the current state, from `If-Match` or `If-None-Match: *`. */
function conditionOf(headers: Headers, partition: number): Condition | Response {
  const [match, none] = [headers.get("if-match"), headers.get("if-none-match")];
  const no = (status: number, code: string, detail: string): Response => problem({ status, code, detail });
  if (match === null && none === null)
    return no(
      428,
      "precondition_required",
      "the edit needs a condition: send If-Match with the ETag of a read, If-Match: * for any state, or If-None-Match: * for no state",
    );
  if (match !== null && none !== null)
    return no(400, "invalid_condition", "send If-Match or If-None-Match, not both: no state meets both");
  if (none !== null) return none.trim() === "*" ? "none" : no(400, "invalid_condition", "If-None-Match must be *");
  if (match!.trim() === "*") return "any";
  const tags = match!.length > CONDITION_CHARS ? null : tagsOf(match!, partition);
  if (tags === null || match!.trim() === "")
    return no(
      400,
      "invalid_condition",
      `If-Match is a list of ETags in quotation marks, or *, of at most ${CONDITION_CHARS} characters`,
    );
  return tags;
}

/** With an Idempotency-Key a retry is recognised, and gets the first outcome. */
function idOf(headers: Headers): string | Response {
  const given = headers.get("idempotency-key");
  if (given === null) return crypto.randomUUID();
  return given !== "" && !exceeds(given, NAME_BYTES)
    ? given
    : problem({
        status: 400,
        code: "invalid_idempotency_key",
        detail: `Idempotency-Key must have 1 to ${NAME_BYTES} bytes`,
      });
}

/** Returns the body as the text of a state (SNAP8). */
async function stateOf(request: Request): Promise<string | Response> {
  const type = (request.headers.get("content-type") ?? "application/json").split(";")[0]!.trim().toLowerCase();
  const no = (status: number, code: string, detail: string): Response => problem({ status, code, detail });
  if (type !== "application/json") return no(415, "unsupported_media_type", "a state is sent as application/json");
  let text: string;
  try {
    text = await bodyText(request, PARSED_CHARS);
  } catch (error) {
    if (error instanceof BodyError) return no(error.status, error.code, error.message);
    throw error;
  }
  let state: unknown;
  try {
    state = JSON.parse(text);
  } catch {
    return no(400, "malformed_json", "the body isn't valid JSON; a state is any JSON value but null");
  }
  const unsafe = unsafeLiteral(text);
  if (unsafe !== null)
    return no(
      422,
      "unsafe_integer",
      `${unsafe.slice(0, 40)} can't be held exactly: integers go to 2^53 - 1; send it as a string`,
    );
  const json = toJson(state);
  if (json.tag === "not_json" || state === null) {
    const why = json.tag === "not_json" ? json.why : NULL_STATE;
    return no(422, why.includes("unsafe_integer") ? "unsafe_integer" : "invalid_state", `the body ${why}`);
  }
  if (exceeds(json.text, STATE_BYTES)) return no(413, "state_too_large", `a state has at most ${STATE_BYTES} bytes`);
  return json.text;
}
