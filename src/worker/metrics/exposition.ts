/** The text format of Prometheus, version 0.0.4: families of samples, each with its help and its type. */

export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
}

type Labels = Readonly<Record<string, string | number>>;

export class Exposition {
  readonly #lines = new Map<string, string[]>();

  add(family: Family, labels: Labels, value: number): void {
    this.#linesOf(family).push(`${family.name}${labelText(labels)} ${value}`);
  }

  /** `counts` holds each bucket by itself, and has one entry more than the bounds. */
  addHistogram(
    family: Family,
    labels: Labels,
    bounds: readonly number[],
    counts: readonly number[],
    sum: number,
  ): void {
    const lines = this.#linesOf(family);
    let below = 0;
    for (const [i, count] of counts.entries()) {
      below += count;
      lines.push(`${family.name}_bucket${labelText({ ...labels, le: bounds[i] ?? "+Inf" })} ${below}`);
    }
    lines.push(`${family.name}_sum${labelText(labels)} ${sum}`, `${family.name}_count${labelText(labels)} ${below}`);
  }

  /** The samples of a family must be together, in any order of adding. */
  #linesOf({ name, type, help }: Family): string[] {
    let lines = this.#lines.get(name);
    if (lines === undefined)
      this.#lines.set(name, (lines = [`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${type}`]));
    return lines;
  }

  text(): string {
    return `${[...this.#lines.values()].flat().join("\n")}\n`;
  }
}

const escaped = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${escaped(String(value)).replaceAll('"', '\\"')}"`,
  );
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}
