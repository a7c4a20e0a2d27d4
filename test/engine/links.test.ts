/** Links of the pages lead somewhere: files that are there, and headings in them. */
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";

const root = path.join(import.meta.dirname, "../..");
const pages = globSync(["*.md", "docs/**/*.md", "test/**/*.md", "examples/**/*.md", "src/**/*.md"], {
  cwd: root,
}).sort();

/** Without what stands in fences and code spans: there, brackets are code. */
function prose(page: string): string {
  return readFileSync(path.join(root, page), "utf8")
    .replaceAll(/^(```+)[^]*?^\1$/gm, "")
    .replaceAll(/(`+)(?!`)[^]*?\1/g, (span) => (span.includes("\n\n") ? span : ""));
}

/** Anchors as GitHub makes them: in lower case, without punctuation, spaces as hyphens; repeats are numbered. */
function anchors(page: string): Set<string> {
  const text = readFileSync(path.join(root, page), "utf8").replaceAll(/^(```+)[^]*?^\1$/gm, "");
  const found = new Set<string>();
  for (const [, heading = ""] of text.matchAll(/^#{1,6} +(.+?)\s*$/gm)) {
    const words = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const name = words.replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, "").replaceAll(" ", "-");
    let unique = name;
    for (let n = 1; found.has(unique); n++) unique = `${name}-${n}`;
    found.add(unique);
  }
  return found;
}

const links = pages.flatMap((page) =>
  [...prose(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, to]) => ({ page, to: to! })),
);

it("there are pages with links to check", () => {
  expect(pages).toEqual(expect.arrayContaining(["README.md", "docs/reference/api.md", "docs/guides/start.md"]));
  expect(links.filter(({ to }) => to.includes("#")).length).toBeGreaterThan(10);
});

it("relative links and their anchors are there", () => {
  const broken = links.filter(({ page, to }) => {
    if (/^[a-z]+:/.test(to)) return false;
    const [file = "", anchor] = to.split("#");
    const target = file === "" ? page : path.join(path.dirname(page), decodeURIComponent(file));
    if (!existsSync(path.join(root, target))) return true;
    return anchor !== undefined && target.endsWith(".md") && !anchors(target).has(anchor);
  });
  expect(broken).toEqual([]);
});

it("every page is in a list: that of docs, or that of the decisions", () => {
  const lists = ["README.md", "docs/README.md", "docs/decisions/README.md"];
  const listed = links
    .filter(({ page }) => lists.includes(page))
    .map(({ page, to }) => path.join(path.dirname(page), to.split("#")[0]!));
  const inDocs = pages.filter((page) => page.startsWith("docs/"));
  expect(inDocs.filter((page) => !listed.includes(page))).toEqual([]);
});
