/** `npm run words` names sentences that are hard to read, and leaves the others alone. */
import { describe, expect, it } from "vitest";
import { OLD_WORDS } from "../../src/local/old-words.ts";
import { flawsOfPage, flawsOfSource, oldWordsOf } from "../../src/local/words.ts";

const whys = (flaws: readonly { readonly why: string }[]): string[] => flaws.map(({ why }) => why);
const long = `${"word ".repeat(31)}ends here.`;

describe("words", () => {
  it.each([
    ["/** What took it was later. */", 'a sentence that starts with "What"'],
    ["/** Fine. Whoever reads can't write. */", 'a sentence that starts with "Whoever"'],
    ["/** null: nothing is there. */", 'a caption "null: …"; write "Returns null if …"'],
    [`/** ${long.slice(0, 100)}\n * ${long.slice(100)} */`, "a sentence of 33 words"],
    [`/** ${"a".repeat(121)} */`, "121 characters in a line of prose"],
    ["const a = 1; // That of another one.", 'a sentence that starts with "That"'],
  ])("names what is hard to read: %s", (source, why) => {
    expect(whys(flawsOfSource(source))).toEqual([why]);
  });

  it.each([
    "/** Returns null if the file isn't there. */",
    '// Code isn\'t prose: const text = "What happened";',
    "/**\n * A table:\n *\n * | What it is | of more than a hundred and twenty characters, which is the width of a screen and no prose at all |\n */",
    "/**\n * @example\n * What(does, this, matter)\n */",
  ])("leaves alone: %s", (source) => {
    expect(flawsOfSource(source)).toEqual([]);
  });

  it("reads the prose of a page, and neither its code nor its tables", () => {
    const page = [
      "# What it is",
      "",
      "```",
      "What is code",
      "```",
      "",
      "| What | a cell |",
      "",
      "What is it? A page.",
      "",
    ];
    expect(flawsOfPage(page.join("\n"))).toEqual([]);
    expect(flawsOfPage("The first line.\nWhat follows is a clause.\n")).toEqual([
      { line: 2, why: 'a sentence that starts with "What"' },
    ]);
  });

  /** For each old word, in the order of the list: texts that have it. */
  const OLD_TEXTS = [
    [
      "the database was set back: restore it",
      "A D1 that is set back by time travel",
      "D1 was rebuilt, set back or lost",
    ],
    ["set it up; set forward to a later moment"],
    ["3 events are set aside", "replay sets aside what throws"],
    ["drill found a difference", "Recovery drill", "what was drilled"],
    ["the cron sweep", "state files swept", "it goes on sweeping"],
    ["| a repeat of an event |", "a repeat gets the first answer", 'tag: "repeat"'],
    ["Reckon what a load costs", "reckoned"],
    ["a dear statement"],
    ["mend the migration", "mended", "Waiting mends it"],
    ["the partition is well", "where all is well"],
    ["it goes on from there", "going on", "what went on"],
    ["not whole a.kfs", "0 all are whole", 'paint("green", "whole    ")'],
    ["it would be back in 3 s", "the slowest back in 10 ms"],
    ["doctor --promise 1s"],
    ["`budget_spent`", "503 bodies_held"],
    ["the log's life began", "facts of an earlier life", "life ${n}", "life 2 began"],
    ["Rebuilding in the shadow"],
    ["what counts from here on"],
    ["a state file is damaged", "past 2 damaged snapshots"],
    ["the app is shut", 'code: "shut"'],
  ];

  it("knows a text for each old word", () => expect(OLD_TEXTS).toHaveLength(OLD_WORDS.length));

  it.each(OLD_TEXTS.flatMap((texts, i) => texts.map((text) => [text, OLD_WORDS[i]!.instead] as const)))(
    "names the old word in: %s",
    (text, instead) => {
      const flaws = oldWordsOf(`the first line\nconst message = ${text};`);
      expect(flaws.map(({ line }) => line)).toContain(2);
      expect(whys(flaws).some((why) => why.endsWith(`; write: ${instead}`))).toBe(true);
    },
  );

  it.each([
    "if a clock was set back, no counter falls",
    '"-".repeat(3); grid: repeat(2, 1fr)',
    "a key is well-formed, and this is as well",
    "the whole log; a whole number",
    "a key lives here as long as the object's life",
    "a file is missing or corrupt",
    "budget for memory",
  ])("leaves alone what only looks like an old word: %s", (text) => expect(oldWordsOf(text)).toEqual([]));
});
