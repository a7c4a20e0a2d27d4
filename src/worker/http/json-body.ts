import { problem } from "../problem.ts";
import { BodyError, bodyText } from "./body.ts";

/** Returns the parsed body, `{}` if it is empty, or the problem. */
export async function jsonBody(request: Request, limit: number): Promise<unknown> {
  try {
    const text = await bodyText(request, limit);
    return text.trim() === "" ? {} : JSON.parse(text);
  } catch (error) {
    if (error instanceof BodyError) return problem({ status: error.status, code: error.code, detail: error.message });
    return problem({ status: 400, code: "malformed_json", detail: "the body isn't valid JSON" });
  }
}
