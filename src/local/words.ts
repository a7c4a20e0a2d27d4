/**
 * Reads the sources and documents and names the sentences that are hard to read, and words that the glossary has
 * replaced. `npm run check` runs it.
 *
 * A machine sees four patterns in comments and documents: a sentence that starts with a clause instead of a noun, a
 * caption like "null: nothing", a sentence of more than 30 words, and a line of prose of more than 120 characters.
 */
import { globSync, readFileSync } from "node:fs";
import { OLD_WORDS } from "./old-words.ts";

export interface ProseFlaw {
  readonly line: number;
  readonly why: string;
}

/** One line of prose, and its place. */
interface Prose {
  readonly line: number;
  readonly text: string;
  /** A new paragraph begins here, so no sentence runs into it. */
  readonly first: boolean;
}

const LINE_CHARS = 120;
const SENTENCE_WORDS = 30;
const CLAUSE = /^(What|Whoever|Whatever|That|One that)\b(?! (is|are|does|do|did|was|were|can|should|if)\b.*\?)/;
const CAPTION = /(^|[.;] |— )(null|undefined|true|false): [a-z]/i;

/** The flaws of a TypeScript file's comments. */
export const flawsOfSource = (text: string): ProseFlaw[] => flawsOf(commentsOf(text));

/** The flaws of a Markdown page's prose: no code, no tables, no links on lines of their own. */
export const flawsOfPage = (text: string): ProseFlaw[] => flawsOf(proseOf(text));

/** The words of any text that the glossary has replaced: in messages, code and tables as well as in prose. */
export const oldWordsOf = (text: string): ProseFlaw[] =>
  text.split("\n").flatMap((line, i) =>
    OLD_WORDS.flatMap(({ pattern, instead }) => {
      const found = pattern.exec(line)?.[0];
      return found === undefined ? [] : [{ line: i + 1, why: `the old word "${found}"; write: ${instead}` }];
    }),
  );

function flawsOf(prose: readonly Prose[]): ProseFlaw[] {
  const flaws: ProseFlaw[] = [];
  for (const { line, text } of prose) {
    if (text.length > LINE_CHARS) flaws.push({ line, why: `${text.length} characters in a line of prose` });
    const caption = CAPTION.exec(text)?.[2];
    if (caption !== undefined) flaws.push({ line, why: `a caption "${caption}: …"; write "Returns ${caption} if …"` });
  }
  for (const { line, text } of sentencesOf(prose)) {
    const words = text.split(/\s+/).filter((word) => /[A-Za-z0-9]/.test(word)).length;
    if (words > SENTENCE_WORDS) flaws.push({ line, why: `a sentence of ${words} words` });
    const clause = CLAUSE.exec(text)?.[1];
    if (clause !== undefined) flaws.push({ line, why: `a sentence that starts with "${clause}"` });
  }
  return flaws.sort((a, b) => a.line - b.line);
}

/** Sentences end at a full stop, colon, semicolon or question mark before a space, and at the end of a paragraph. */
function sentencesOf(prose: readonly Prose[]): Prose[] {
  const found: Prose[] = [];
  let open: { line: number; text: string } | null = null;
  const close = (): void => {
    if (open !== null && open.text.trim() !== "") found.push({ ...open, text: open.text.trim(), first: true });
    open = null;
  };
  for (const { line, text, first } of prose) {
    if (first) close();
    for (const part of text.split(/(?<=[.:;?!])\s+(?=\S)/)) {
      open = open === null ? { line, text: part } : { line: open.line, text: `${open.text} ${part}` };
      if (/[.:;?!]["')\]]?$/.test(part) && !/\b(e\.g|i\.e|etc|vs)\.$/.test(part)) close();
    }
  }
  close();
  return found;
}

const COMMENT = /\/\*\*?([\s\S]*?)\*\/|(?<=^|\s)\/\/ ?([^\n]*)/gm;

function commentsOf(text: string): Prose[] {
  const prose: Prose[] = [];
  let before = -1;
  for (const match of text.matchAll(COMMENT)) {
    const begins = text.slice(0, match.index).split("\n").length;
    const block = match[1] !== undefined;
    let [first, example] = [block || begins !== before + 1, false];
    for (const [i, raw] of (match[1] ?? match[2]!).split("\n").entries()) {
      const said = raw.replace(/^\s*\* ?/, "").trimEnd();
      example = said.trim().startsWith("@") ? said.includes("@example") : example;
      if (example || said.trim() === "" || /^\s*(\||```|@\w+\s*$)/.test(said)) {
        first = true;
        continue;
      }
      const item = /^\s*(- |\d+\. |[A-Z]+\d+\.? |@\w+ )/.exec(said);
      prose.push({
        line: begins + i,
        text: said
          .trim()
          .slice(item?.[0].trim().length ?? 0)
          .trim(),
        first: first || item !== null,
      });
      first = false;
    }
    before = begins + (match[1] ?? match[2]!).split("\n").length - 1;
  }
  return prose;
}

function proseOf(text: string): Prose[] {
  const prose: Prose[] = [];
  let [first, fenced] = [true, false];
  for (const [i, raw] of text.split("\n").entries()) {
    const said = raw.trim();
    if (said.startsWith("```")) fenced = !fenced;
    if (fenced || said === "" || /^(```|\||#|<|!\[|\[[^\]]*\]: )/.test(said)) {
      first = true;
      continue;
    }
    const item = /^(- |\* |\d+\. |> )/.exec(said);
    // An address isn't prose.
    const plain = said.slice(item?.[0].length ?? 0).replaceAll(/\]\([^)]*\)/g, "]");
    prose.push({ line: i + 1, text: plain, first: first || item !== null });
    first = false;
  }
  return prose;
}

/** The list and its test have the old words. The dashboard's files are built from sources that are checked. */
const UNCHECKED = /(dashboard-files|old-words|words\.test)\.ts$/;

/** Prints each flaw with its place. Returns their number. */
export function checkWords(root: string): number {
  const find = (...patterns: string[]): string[] => globSync(patterns, { cwd: root });
  const sources = find("{src,test,examples}/**/*.{ts,tsx}").filter((file) => !UNCHECKED.test(file));
  const pages = find("*.md", "docs/**/*.md", "src/**/*.md", "examples/**/*.md", "test/**/*.md");
  const others = find("src/**/*.{sql,html,css}", "docs/monitoring/*", "examples/**/*.toml");
  let count = 0;
  for (const file of [...sources, ...pages, ...others].sort()) {
    const text = readFileSync(`${root}/${file}`, "utf8");
    const hard = file.endsWith(".md") ? flawsOfPage(text) : /\.tsx?$/.test(file) ? flawsOfSource(text) : [];
    const flaws = [...hard, ...oldWordsOf(text)];
    for (const { line, why } of flaws) console.log(`${file}:${line}: ${why}`);
    count += flaws.length;
  }
  return count;
}

if (import.meta.main) {
  const flaws = checkWords(`${import.meta.dirname}/../..`);
  if (flaws > 0) {
    console.log(
      `${flaws} places to change. Start with the noun, use an active verb, make one claim a sentence, and use the ` +
        "glossary's words.",
    );
    process.exitCode = 1;
  }
}
