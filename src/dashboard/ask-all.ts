/**
 * Asks every partition itself. What refuses because D1 was restored to an older point, or can't open, is known to the partition
 * alone: nothing of it stands in D1. It wakes those that sleep, so it is done when somebody asks for it.
 */
import { signal } from "@preact/signals";
import type { Overview, PartitionStatus } from "./answers.ts";
import { get, messageOf, partitionPath, Problem } from "./api.ts";

/** What a partition said when it was asked itself; null: it answered. */
export interface Asked {
  readonly operator: string;
  readonly partition: number;
  readonly refusal: { readonly code: string; readonly detail: string } | null;
}

/** Partitions that are asked at a time. */
const AT_ONCE = 4;

export const asked = signal<readonly Asked[]>([]);
/** When the last round began; null: nobody asked yet. `left`: partitions that haven't answered. */
export const round = signal<{ readonly at: number; readonly all: number; readonly left: number } | null>(null);

export async function askAll({ operators }: Overview): Promise<void> {
  const open = operators.flatMap(({ name, lost, partitions }) =>
    lost === undefined ? partitions.map(({ partition }) => ({ operator: name, partition })) : [],
  );
  const mine = { at: Date.now(), all: open.length, left: open.length };
  round.value = mine;
  const found: Asked[] = [];
  const next = async (): Promise<void> => {
    for (let one = open.pop(); one !== undefined; one = open.pop()) {
      found.push({ ...one, refusal: await ask(one.operator, one.partition) });
      if (round.value?.at !== mine.at) return;
      round.value = { ...mine, left: mine.all - found.length };
      asked.value = [...found];
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
}

/** Of the last time that it was asked; null: it answered, or nobody asked. */
export const refusalOf = (operator: string, partition: number): Asked["refusal"] =>
  asked.peek().find((one) => one.operator === operator && one.partition === partition)?.refusal ?? null;

async function ask(operator: string, partition: number): Promise<Asked["refusal"]> {
  try {
    await get<PartitionStatus>(`${partitionPath(operator, partition)}?live=true`);
    return null;
  } catch (error) {
    return error instanceof Problem
      ? { code: error.code, detail: error.message }
      : { code: "no_answer", detail: messageOf(error) };
  }
}
