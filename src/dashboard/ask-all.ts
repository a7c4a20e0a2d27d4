/**
 * Asks every partition itself. Only the partition knows that it refuses because D1 was restored to an older point, or
 * because it can't open: D1 holds no record of that. The requests wake sleeping partitions, so a person starts them.
 */
import { signal } from "@preact/signals";
import type { Overview, PartitionInfo } from "../client/admin-answers.ts";
import { partitionPath } from "../client/paths.ts";
import { get, errorText, ApiError } from "./api.ts";

/** A partition's own answer. Null if it answered without a refusal. */
export interface PartitionReply {
  readonly operator: string;
  readonly partition: number;
  readonly refusal: { readonly code: string; readonly detail: string } | null;
}

/** Partitions that are asked at a time. */
const AT_ONCE = 4;

export const replies = signal<readonly PartitionReply[]>([]);
/** The start of the last round, or null if there was none. `left`: partitions that haven't answered. */
export const round = signal<{ readonly at: number; readonly all: number; readonly left: number } | null>(null);

export async function askAll({ operators }: Overview): Promise<void> {
  const open = operators.flatMap(({ name, lost, partitions }) =>
    lost === undefined ? partitions.map(({ partition }) => ({ operator: name, partition })) : [],
  );
  const mine = { at: Date.now(), all: open.length, left: open.length };
  round.value = mine;
  const found: PartitionReply[] = [];
  const next = async (): Promise<void> => {
    for (let one = open.pop(); one !== undefined; one = open.pop()) {
      found.push({ ...one, refusal: await ask(one.operator, one.partition) });
      if (round.value?.at !== mine.at) return;
      round.value = { ...mine, left: mine.all - found.length };
      replies.value = [...found];
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
}

/** The refusal of the last round, or null if the partition answered or wasn't asked. */
export const refusalOf = (operator: string, partition: number): PartitionReply["refusal"] =>
  replies.peek().find((one) => one.operator === operator && one.partition === partition)?.refusal ?? null;

async function ask(operator: string, partition: number): Promise<PartitionReply["refusal"]> {
  try {
    await get<PartitionInfo>(`${partitionPath(operator, partition)}?live=true`);
    return null;
  } catch (error) {
    return error instanceof ApiError
      ? { code: error.code, detail: error.message }
      : { code: "no_answer", detail: errorText(error) };
  }
}
