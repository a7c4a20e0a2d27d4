/**
 * `GET /docs`: the OpenAPI document as one HTML page.
 *
 * DOCSPAGE1. The page has no script, and asks nothing of any host: its policy forbids both.
 * DOCSPAGE2. All of its content comes from the document, escaped.
 */
import type { Document, Operation, Parameter, Reply } from "./openapi.ts";

export async function docsPage(document: Document, origin: string): Promise<Response> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(STYLE));
  const hash = btoa(String.fromCharCode(...new Uint8Array(digest)));
  return new Response(pageOf(document, origin), {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "no-store",
    },
  });
}

/** Text that is escaped already. Only tags may be added to it. */
type Html = string;

const escaped = (text: string): Html =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
/** Text, with code between backticks. */
const words = (text: string): Html => escaped(text).replaceAll(/`([^`]+)`/g, "<code>$1</code>");

interface Route {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

function pageOf(document: Document, origin: string): Html {
  const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Route => ({ method: method.toUpperCase(), path, operation })),
  );
  const { title, summary, description } = document.info;
  const groups = document.tags.map(({ name }) => ({
    name,
    of: routes.filter(({ operation }) => operation.tags[0] === name),
  }));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}: the interface</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>${escaped(title)}</h1><p>${words(summary)}</p><p>${words(description)}</p>
<p>The same for machines: <a href="/openapi.json">/openapi.json</a>, OpenAPI ${escaped(document.openapi)}.</p></header>
<nav aria-label="Contents">${groups.map(({ name, of }) => `<h2>${escaped(name)}</h2><ul>${of.map(entry).join("")}</ul>`).join("")}
<h2>Reference</h2><ul><li><a href="#operators">Operators and their events</a></li><li><a href="#schemas">Schemas</a></li></ul></nav>
<main>
${groups.map(({ name, of }) => `<h2>${escaped(name)}</h2>${of.map((route) => section(route, origin)).join("\n")}`).join("\n")}
${operatorsOf(document)}
<h2 id="schemas">Schemas</h2>
${Object.entries(document.components.schemas)
  .map(([name, schema]) => `<section id="schema-${escaped(name)}"><h3>${escaped(name)}</h3>${code(schema)}</section>`)
  .join("\n")}
</main>
</body>
</html>
`;
}

const entry = ({ method, path, operation }: Route): Html =>
  `<li><a href="#${escaped(operation.operationId)}"><b>${method}</b> ${escaped(path)}</a></li>`;

function section(route: Route, origin: string): Html {
  const { method, path, operation } = route;
  const { operationId, summary, description, parameters, requestBody, responses } = operation;
  const bodies = Object.entries(requestBody?.content ?? {});
  return `<section id="${escaped(operationId)}">
<h3><a href="#${escaped(operationId)}"><b>${method}</b> ${escaped(path)}</a></h3>
<p>${words(summary)}.${description === undefined ? "" : ` ${words(description)}`}</p>
<p>${admittance(operation)}</p>
${parameters.length === 0 ? "" : table(["Parameter", "In", "What"], parameters.map(parameterRow))}
${bodies.map(([type, { schema }]) => `<details><summary>Body: <code>${escaped(type)}</code></summary>${code(schema)}</details>`).join("\n")}
${table(["Status", "Answer"], Object.entries(responses).map(replyRow))}
<pre>${escaped(curlOf(route, origin))}</pre>
</section>`;
}

function admittance({ security }: Operation): Html {
  const tokens = security
    .flatMap((one) => Object.keys(one))
    .map((role) => `<code>${escaped(role.toUpperCase())}_TOKEN</code>`);
  return tokens.length === 0 ? "Open to everybody." : `For the bearer of ${tokens.join(" or ")}.`;
}

const table = (heads: readonly string[], rows: readonly Html[]): Html =>
  `<div class="wide"><table><thead><tr>${heads.map((head) => `<th scope="col">${head}</th>`).join("")}</tr></thead><tbody>${rows.join("")}</tbody></table></div>`;

function parameterRow({ name, in: place, description, schema }: Parameter): Html {
  return `<tr><td><code>${escaped(name)}</code></td><td>${place}</td><td>${words(description)} <code>${escaped(JSON.stringify(schema))}</code></td></tr>`;
}

function replyRow([status, { description, content = {} }]: readonly [string, Reply]): Html {
  const schemas = Object.entries(content).map(([type, { schema }]) =>
    // A problem's codes are in its description.
    type === "application/problem+json"
      ? ""
      : `<details><summary><code>${escaped(type)}</code></summary>${code(schema)}</details>`,
  );
  const said = words(description).replace("<code>Unavailable</code>", '<a href="#schema-Unavailable">Unavailable</a>');
  return `<tr><td>${escaped(status)}</td><td>${said}${schemas.join("")}</td></tr>`;
}

function operatorsOf(document: Document): Html {
  const shown = document["x-operators"].map(({ name, version, key, events }) => {
    const rows = Object.entries(events).map(
      ([type, schema]) => `<tr><td><code>${escaped(type)}</code></td><td>${code(schema)}</td></tr>`,
    );
    return `<section><h3>${escaped(name)}</h3><p>Version ${version}. Its key: ${words(key)}.</p>${table(["Event type", "Data"], rows)}</section>`;
  });
  return `<h2 id="operators">Operators and their events</h2>${shown.join("\n")}`;
}

/** Shows a schema, with its references as links. */
const code = (schema: unknown): Html =>
  `<pre>${escaped(JSON.stringify(schema, null, 2) ?? "").replaceAll(
    /&quot;#\/components\/schemas\/([A-Za-z0-9._-]+)&quot;/g,
    '<a href="#schema-$1">&quot;$1&quot;</a>',
  )}</pre>`;

/** Returns a call of the route with its examples. */
export function curlOf({ method, path, operation }: Route, origin: string): string {
  const { parameters, requestBody, security } = operation;
  const example = ({ name, example: value }: Parameter): string => encodeURIComponent(String(value ?? name));
  const filled = parameters
    .filter((one) => one.in === "path")
    .reduce((text, one) => text.replace(`{${one.name}}`, example(one)), path);
  const asked =
    method === "GET" ? parameters.find((one) => one.in === "query" && one.example !== undefined) : undefined;
  const url = `${origin}${filled}${asked === undefined ? "" : `?${asked.name}=${example(asked)}`}`;
  const [type, body] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  const role = Object.keys(security[0] ?? {})[0];
  return [
    `curl ${method === "GET" ? "" : `-X ${method} `}${quoted(url)}`,
    ...(role === undefined ? [] : [`-H "Authorization: Bearer $${role.toUpperCase()}_TOKEN"`]),
    ...(type === undefined
      ? []
      : [`-H ${quoted(`Content-Type: ${type}`)}`, `--data ${quoted(JSON.stringify(body?.example))}`]),
  ].join(" \\\n  ");
}

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const STYLE = `
:root { color-scheme: light dark; --text: #1c1e21; --back: #fff; --soft: #f3f4f6; --line: #d5d8dd; --link: #0a57c2; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e6ea; --back: #16181c; --soft: #212429; --line: #3a3f47; --link: #82b4ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05rem; overflow-wrap: anywhere; }
h3 a { color: inherit; text-decoration: none; }
nav h2 { font-size: 1rem; margin: 1rem 0 0.25rem; border: 0; }
nav ul { margin: 0; padding: 0; list-style: none; }
nav li { padding: 0.2rem 0; overflow-wrap: anywhere; }
a { color: var(--link); }
section { margin-bottom: 2rem; scroll-margin-top: 1rem; }
code, pre { font: 0.875rem/1.45 ui-monospace, monospace; }
code { overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: 0.75rem; background: var(--soft); border-radius: 0.375rem; margin: 0.5rem 0; }
summary { cursor: pointer; padding: 0.2rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 0.6rem 0.35rem 0; border-top: 1px solid var(--line); }
th { font-weight: 600; border-top: 0; }
`;
