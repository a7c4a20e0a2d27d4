// How fast a timeline replays main's log, beside a recovery by the same log, and what main takes meanwhile.

import type { Aim } from "./snapshots/aim.ts";
import { Subject } from "./snapshots/subject.ts";
import { median } from "./stats.ts";
import { whole } from "./table.ts";

/** Events that main takes while a timeline replays. */
const MEANWHILE = 200_000;
const BEGINNING = "2020-01-01T00:00:00Z";
const ROUNDS = 3;

/** Of `events` events over `keys` keys, without a snapshot. */
export async function replays(events: number, keys: number, aims: Aim[]): Promise<void> {
  const subject = await Subject.start({ never: true });
  try {
    await subject.fill(events, keys);
    const rates: number[] = [];
    const shares: number[] = [];
    // In turns, so that what else the machine does falls on both alike.
    for (let n = 0; n < ROUNDS; n += 1) {
      await subject.crash(true);
      const recovery = events / (await subject.read(0));
      const replay = events / (await replayed(subject, `alone-${n}`));
      console.log(`events a ms: recovery ${whole(recovery)}, replay by a timeline ${whole(replay)}`);
      rates.push(replay / recovery);
    }
    aims.push({ what: "replay by a timeline, by a recovery", value: median(rates), bound: { least: 0.8 } });
    for (let n = 0; n < ROUNDS; n += 1) {
      const alone = await subject.fill(MEANWHILE, keys);
      const [beside] = await Promise.all([subject.fill(MEANWHILE, keys), replayed(subject, `beside-${n}`)]);
      console.log(`events a second into main: alone ${whole(alone)}, beside a replay ${whole(beside)}`);
      shares.push(beside / alone);
    }
    aims.push({ what: "ingestion beside a replay, by that without", value: median(shares), bound: { least: 0.7 } });
  } finally {
    await subject.stop();
  }
}

/** Milliseconds until a timeline has replayed all. */
async function replayed(subject: Subject, name: string): Promise<number> {
  await subject.put(`/v1/timelines/${name}`, { from: BEGINNING, replay: "logged" });
  let ms = 0;
  for (;;) {
    const answer = await subject.post(`/v1/timelines/${name}/replay`, {});
    ms += answer.ms;
    const { behind, trouble } = answer.body["replay"] as { readonly behind: number; readonly trouble?: string };
    if (behind === 0) return ms;
    if (trouble !== undefined) throw new Error(`timeline ${name} doesn't go on: ${trouble}`);
  }
}
