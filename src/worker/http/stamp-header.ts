/**
 * `Keyframe-Stamp`: an answer says up to which stamp its sender has heard of the log. A sender that sends it back with
 * its next request is stamped above it. So whatever holds the later event holds the earlier one too, on any partition
 * (TIME1).
 */
import { lastStampOf } from "../../engine/base/hybrid-clock.ts";
import { stamp, type Stamp } from "../../engine/base/ids.ts";
import { BodyError } from "./body.ts";

const NAME = "keyframe-stamp";

/** Objects' clocks may be ahead of ours by less than this. A stamp beyond it is none of ours, and would lead all others. */
const AHEAD_MS = 60_000;

/** Returns the stamp of a request, or 0 if it has none. @throws BodyError */
export function heardStamp(headers: Headers, nowMs: number): Stamp {
  const text = headers.get(NAME);
  if (text === null) return stamp(0);
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || value > lastStampOf(nowMs + AHEAD_MS))
    throw new BodyError(400, "invalid_stamp", "Keyframe-Stamp must be the stamp of an answer, as it was answered");
  return stamp(value);
}

/** Adds the stamp to an answer, if any event was decided. */
export function withStamp(response: Response, { stamp: upTo }: { readonly stamp: Stamp }): Response {
  if (upTo > 0) response.headers.set(NAME, String(upTo));
  return response;
}
