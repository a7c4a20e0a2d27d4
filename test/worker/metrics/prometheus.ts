/** A reader of Prometheus' text format that takes nothing which isn't right. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}
export interface Read {
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/;
const SUFFIX = /_(bucket|sum|count)$/;

/** Families by name, in their order. @throws where the text is not to the letter */
export function readPrometheus(text: string): Map<string, Read> {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const families = new Map<string, Read>();
  const seen = new Set<string>();
  let [name, help] = ["", ""];
  for (const line of text.slice(0, -1).split("\n")) {
    const about = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (about?.[1] === "HELP") {
      if (families.has(about[2]!)) throw new Error(`${about[2]} comes twice`);
      [name, help] = [about[2]!, about[3]!];
    } else if (about?.[1] === "TYPE") {
      if (about[2] !== name || families.has(name)) throw new Error(`the type of ${about[2]} doesn't follow its help`);
      if (!/^(counter|gauge|histogram)$/.test(about[3]!)) throw new Error(`${about[3]} is no type`);
      families.set(name, { type: about[3]!, help, samples: [] });
    } else {
      const sample = readSample(line);
      const family = families.get(name);
      const base = family?.type === "histogram" ? sample.name.replace(SUFFIX, "") : sample.name;
      if (family === undefined || base !== name) throw new Error(`a sample stands outside its family: ${line}`);
      const identity = line.slice(0, line.lastIndexOf(" "));
      if (seen.has(identity)) throw new Error(`a sample comes twice: ${line}`);
      seen.add(identity);
      family.samples.push(sample);
    }
  }
  return families;
}

function readSample(line: string): Sample {
  const match = LINE.exec(line);
  const value = Number(match?.[3]?.replace("+Inf", "Infinity"));
  if (match === null || Number.isNaN(value)) throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  for (let rest = match[2] ?? ""; rest !== "";) {
    const label = LABEL.exec(rest);
    if (label === null || Object.hasOwn(labels, label[1]!)) throw new Error(`no labels: ${line}`);
    labels[label[1]!] = label[2]!.replaceAll(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c));
    rest = rest.slice(label[0].length);
  }
  return { name: match[1]!, labels, value };
}

/** Returns the one sample of these labels, or undefined if there is none. */
export function valueOf(
  families: ReadonlyMap<string, Read>,
  name: string,
  labels: Readonly<Record<string, string>>,
): number | undefined {
  const wanted = Object.entries(labels);
  const family = families.get(name) ?? families.get(name.replace(SUFFIX, ""));
  const found = (family?.samples ?? []).filter(
    (sample) => sample.name === name && wanted.every(([label, value]) => sample.labels[label] === value),
  );
  if (found.length > 1) throw new Error(`${found.length} samples of ${name} have ${JSON.stringify(labels)}`);
  return found[0]?.value;
}
