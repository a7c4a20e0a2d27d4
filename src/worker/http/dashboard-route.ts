/**
 * The dashboard's three files, out of the Worker's own code: so the package carries them, and a user's wrangler.toml needs
 * nothing for them. They are built from src/dashboard by src/local/build-dashboard.ts.
 */
import { DASHBOARD } from "../dashboard-files.ts";

/** No script and no style but the page's own files, and no other host. */
const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** `path`: one of DASHBOARD's. */
export function dashboardFile(request: Request, path: string): Response {
  const { type, etag, text } = DASHBOARD[path]!;
  const headers = {
    "content-type": type,
    etag,
    // Asked for again each time, and rarely sent again: page and script of two deploys never meet.
    "cache-control": "no-cache",
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
  };
  // An edge that compresses makes the tag a weak one.
  const known = request.headers.get("if-none-match")?.split(",") ?? [];
  if (known.some((tag) => tag.trim().replace(/^W\//, "") === etag)) return new Response(null, { status: 304, headers });
  return new Response(text, { headers });
}
