// The baselines' reading of a request: the body split into lines, each line parsed. No validation, no routing by
// operator, nothing that they could lose time with.

/** How many Durable Objects the keys are spread over: as many as the operator under test has partitions. */
export const OBJECTS = 4;

export interface Reading {
  id: string;
  source: string;
  type: string;
  time: string;
  data: { device: string; value: number; unit: string };
}

export interface Running {
  count: number;
  sum: number;
  max: number;
  last: number;
}

export async function lines(request: Request): Promise<string[]> {
  const found = (await request.text()).split("\n");
  if (found.at(-1) === "") found.pop();
  return found;
}

export function parse(line: string): Reading {
  return JSON.parse(line) as Reading;
}

export function byObject(readings: Reading[]): Map<number, Reading[]> {
  const groups = new Map<number, Reading[]>();
  for (const reading of readings) {
    const object = hash(reading.data.device) % OBJECTS;
    const group = groups.get(object);
    if (group === undefined) groups.set(object, [reading]);
    else group.push(reading);
  }
  return groups;
}

export function add(state: Running, value: number): void {
  state.count += 1;
  state.sum += value;
  state.max = Math.max(state.max, value);
  state.last = value;
}

export function zero(): Running {
  return { count: 0, sum: 0, max: 0, last: 0 };
}

export function answer(received: number, accepted: number): Response {
  return Response.json({ received, accepted });
}

/** FNV-1a, 32 bit. */
function hash(key: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < key.length; i += 1) value = Math.imul(value ^ key.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
