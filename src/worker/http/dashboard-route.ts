/**
 * Serves the dashboard's three files from the Worker's own code. The package carries them, so a user's wrangler.toml
 * needs no entry for them. src/local/build-dashboard.ts builds them from src/dashboard.
 */
import { DASHBOARD } from "../dashboard-files.ts";

/** Allows scripts and styles from the page's own files only, and no other host. */
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
    // The browser revalidates each time, so the page and the script of two deploys are never mixed. The tag makes that
    // cheap.
    "cache-control": "no-cache",
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
  };
  // An edge that compresses turns the tag into a weak one.
  const known = request.headers.get("if-none-match")?.split(",") ?? [];
  if (known.some((tag) => tag.trim().replace(/^W\//, "") === etag)) return new Response(null, { status: 304, headers });
  return new Response(text, { headers });
}
