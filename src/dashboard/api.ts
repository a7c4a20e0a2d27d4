/** One request to the app. Any answer that isn't good is thrown as an ApiError. */
import { locked, token } from "./session.ts";

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  /** The members of the problem document, if it is one. */
  readonly members: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    code: string,
    detail: string,
    { members = {}, ...options }: ErrorOptions & { readonly members?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(detail, options);
    this.status = status;
    this.code = code;
    this.members = members;
  }
}

/** An app that hangs answers within 30 s. */
const PATIENCE_MS = 35_000;

export const get = async <T>(path: string, signal?: AbortSignal): Promise<T> =>
  (await request<T>("GET", path, { signal })).value;
export const post = async <T>(path: string, ifMatch?: string): Promise<T> =>
  (await request<T>("POST", path, ifMatch === undefined ? {} : { headers: { "if-match": ifMatch } })).value;
export const put = async <T>(path: string, body: object): Promise<T> =>
  (await request<T>("PUT", path, { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }))
    .value;
export const remove = async <T>(path: string): Promise<T> => (await request<T>("DELETE", path)).value;
/** The ETag stands for the value in `post`. */
export const getTagged = <T>(path: string, signal?: AbortSignal): Promise<Tagged<T>> =>
  request<T>("GET", path, { signal });

export interface Tagged<T> {
  readonly value: T;
  readonly etag: string | null;
}

interface More {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
}

async function request<T>(method: string, path: string, { headers, body, signal }: More = {}): Promise<Tagged<T>> {
  const used = token.peek();
  const late = AbortSignal.timeout(PATIENCE_MS);
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, {
      method,
      headers: { ...headers, ...(used === null ? {} : { authorization: `Bearer ${used}` }) },
      ...(body === undefined ? {} : { body }),
      signal: signal === undefined ? late : AbortSignal.any([signal, late]),
    });
    text = await response.text();
  } catch (error) {
    throw new ApiError(0, "no_answer", late.aborted ? "no answer in time" : "the app can't be reached", {
      cause: error,
    });
  }
  if (response.ok) return { value: JSON.parse(text) as T, etag: response.headers.get("etag") };
  const problem = problemOf(response.status, text);
  // A token that was entered meanwhile isn't the refused one.
  if ((problem.status === 401 || problem.code === "wrong_role") && token.peek() === used)
    locked.value = { code: problem.code, detail: problem.message };
  throw problem;
}

function problemOf(status: number, text: string): ApiError {
  try {
    const members = JSON.parse(text) as { code: string; detail: unknown };
    const { code, detail } = members;
    return new ApiError(status, code, typeof detail === "string" ? detail : JSON.stringify(detail), { members });
  } catch {
    return new ApiError(status, "unexpected_answer", `status ${status}: ${text.slice(0, 200)}`);
  }
}

export const errorText = (error: unknown): string =>
  error instanceof ApiError ? `${error.message} (${error.code})` : String(error);
