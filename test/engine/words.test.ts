/** `npm run words` names sentences that are hard to read, and leaves the others alone. */
import { describe, expect, it } from "vitest";
import { flawsOfPage, flawsOfSource } from "../../src/local/words.ts";

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
});
