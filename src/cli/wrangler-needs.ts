/**
 * Keyframe's needs in a Worker's wrangler configuration: finds the missing ones, and adds them to the text.
 *
 * WRANGLERNEEDS1. Only missing parts are added. Existing parts don't change, and comments stay.
 * WRANGLERNEEDS2. The result is parsed again, and must have all missing parts. A file that can't be added to (inline
 *     tables) is refused with the parts to add by hand, and not half changed.
 */
import { applyEdits, modify, parse as parseJsonc, type ParseError } from "jsonc-parser";
import { parse as parseToml } from "smol-toml";
import { PACKAGE } from "./templates.ts";

export type Format = "toml" | "jsonc";

interface Need {
  readonly what: string;
  readonly toml: string;
  /** The place in JSON. `append`: into the list there. */
  readonly json: { readonly path: readonly string[]; readonly value: unknown; readonly append: boolean };
  readonly isMet: (config: Config) => boolean;
  /** The text belongs above all tables. */
  readonly atTop?: true;
}

type Config = Readonly<Record<string, unknown>>;

type Added =
  | { readonly tag: "added"; readonly text: string; readonly what: readonly string[] }
  | { readonly tag: "complete" }
  | { readonly tag: "refused"; readonly why: string };

/**
 * The earliest date that is tested (the package's own test runs with it), also for new Workers. Node 20 gets the last
 * wrangler that runs there, which doesn't know later dates.
 */
const COMPATIBILITY_DATE = "2026-04-01";
const MIGRATIONS_DIR = `node_modules/${PACKAGE}/dist/migrations`;

/** Returns the text with everything that is missing. */
export function withNeeds(text: string, format: Format, fallbackName: string): Added {
  const config = read(text, format);
  if (typeof config === "string") return { tag: "refused", why: config };
  const clash = foreign(config);
  if (clash !== null) return { tag: "refused", why: clash };
  const name = typeof config["name"] === "string" ? config["name"] : fallbackName;
  const missing = needsOf(name).filter((need) => !need.isMet(config));
  if (missing.length === 0) return { tag: "complete" };
  const made = missing.reduce((so, need) => (format === "toml" ? addToml(so, need) : addJson(so, need)), text);
  const again = read(made, format);
  const left = typeof again === "string" ? missing : missing.filter((need) => !need.isMet(again));
  if (left.length === 0) return { tag: "added", text: made, what: missing.map(({ what }) => what) };
  const byHand = left.map(({ toml, json }) =>
    format === "toml" ? toml : `"${json.path.join(".")}": ${JSON.stringify(json.value)}`,
  );
  return {
    tag: "refused",
    why: `it is written in a way that init can't extend; add by hand:\n\n${byHand.join("\n\n")}\n`,
  };
}

/** Returns the parsed configuration, or the reason why there is none. */
function read(text: string, format: Format): Config | string {
  if (format === "toml") {
    try {
      return parseToml(text);
    } catch (error) {
      return `it isn't valid TOML: ${error instanceof Error ? error.message.split("\n")[0] : "unknown"}`;
    }
  }
  const errors: ParseError[] = [];
  const value: unknown = parseJsonc(text, errors, { allowTrailingComma: true });
  if (errors.length > 0 || typeof value !== "object" || value === null) return "it isn't valid JSON with comments";
  return value as Config;
}

/** Returns a name that Keyframe needs, and that has another meaning here. */
function foreign(config: Config): string | null {
  const taken = list(config, "durable_objects", "bindings").find(
    (one) => one["name"] === "PARTITION" && one["class_name"] !== "Partition",
  );
  if (taken !== undefined)
    return `its binding PARTITION is class ${JSON.stringify(taken["class_name"])}; Keyframe needs that name for its own, so rename yours`;
  const date = config["compatibility_date"];
  if (typeof date === "string" && date < COMPATIBILITY_DATE)
    return `its compatibility_date is ${date}; Keyframe is tested with ${COMPATIBILITY_DATE} and later, so check what a later date changes for you, and raise it`;
  return null;
}

function needsOf(name: string): readonly Need[] {
  return [
    scalar("compatibility_date", COMPATIBILITY_DATE),
    {
      what: "compatibility_flags nodejs_compat",
      toml: `compatibility_flags = ["nodejs_compat"]`,
      json: { path: ["compatibility_flags"], value: "nodejs_compat", append: true },
      isMet: ({ compatibility_flags: flags }) => Array.isArray(flags) && flags.includes("nodejs_compat"),
      atTop: true,
    },
    inList(
      "the class of all partitions, PARTITION",
      ["durable_objects", "bindings"],
      { name: "PARTITION", class_name: "Partition" },
      "name",
    ),
    {
      ...inList("its migration", ["migrations"], { tag: "keyframe-v1", new_sqlite_classes: ["Partition"] }, "tag"),
      isMet: (config) =>
        list(config, "migrations").some(
          ({ new_sqlite_classes: classes }) => Array.isArray(classes) && classes.includes("Partition"),
        ) ||
        (typeof config["exports"] === "object" && config["exports"] !== null && "Partition" in config["exports"]),
    },
    inList(
      "the log's database, LOG_0",
      ["d1_databases"],
      { binding: "LOG_0", database_name: `${name}-log-0`, migrations_dir: MIGRATIONS_DIR },
      "binding",
    ),
    inList(
      "the bucket for snapshots, SNAPSHOTS",
      ["r2_buckets"],
      { binding: "SNAPSHOTS", bucket_name: `${name}-snapshots` },
      "binding",
    ),
    {
      what: "which version runs, VERSION",
      toml: `[version_metadata]\nbinding = "VERSION"`,
      json: { path: ["version_metadata"], value: { binding: "VERSION" }, append: false },
      isMet: ({ version_metadata: given }) => typeof given === "object",
    },
    {
      what: "a cron trigger, which finds lost alarms",
      toml: `[triggers]\ncrons = ["*/10 * * * *"]`,
      json: { path: ["triggers", "crons"], value: "*/10 * * * *", append: true },
      isMet: ({ triggers }) => {
        const crons = (triggers as { crons?: unknown } | undefined)?.crons;
        return Array.isArray(crons) && crons.length > 0;
      },
    },
  ];
}

const scalar = (name: string, value: string): Need => ({
  what: name,
  toml: `${name} = ${JSON.stringify(value)}`,
  json: { path: [name], value, append: false },
  isMet: (config) => config[name] !== undefined,
  atTop: true,
});

/** A table in a list, known by one of its members. */
function inList(what: string, path: readonly string[], value: Readonly<Record<string, unknown>>, by: string): Need {
  const lines = Object.entries(value).map(([name, member]) => `${name} = ${JSON.stringify(member)}`);
  return {
    what,
    toml: [`[[${path.join(".")}]]`, ...lines].join("\n"),
    json: { path, value, append: true },
    isMet: (config) => list(config, ...path).some((one) => one[by] === value[by]),
  };
}

/** The tables of a list in the configuration. */
function list(config: Config, ...path: readonly string[]): Readonly<Record<string, unknown>>[] {
  const found = path.reduce<unknown>((at, name) => (at as Config | undefined)?.[name], config);
  return Array.isArray(found) ? (found as Readonly<Record<string, unknown>>[]) : [];
}

/** Tables go to the end. Top-level lines go before the first table, or they would become members of the last one. */
function addToml(text: string, { toml, atTop }: Need): string {
  const ended = text === "" || text.endsWith("\n") ? text : `${text}\n`;
  if (atTop !== true) return `${ended}${ended === "" ? "" : "\n"}${toml}\n`;
  const table = /^[ \t]*\[/m.exec(ended);
  if (table === null) return `${ended}${toml}\n`;
  // A comment above the table belongs to the table.
  const above = ended.slice(0, table.index).replace(/(?:(?<=^|\n)[ \t]*(?:#.*)?\n)*$/, "");
  return `${above}${toml}\n${ended.slice(above.length)}`;
}

function addJson(text: string, { json: { path, value, append } }: Need): string {
  const options = { formattingOptions: { insertSpaces: true, tabSize: 2 } };
  const there: unknown = path.reduce<unknown>((at, name) => (at as Config | undefined)?.[name], parseJsonc(text));
  const edit =
    append && Array.isArray(there)
      ? modify(text, [...path, there.length], value, { ...options, isArrayInsertion: true })
      : modify(text, [...path], append ? [value] : value, options);
  return applyEdits(text, edit);
}
