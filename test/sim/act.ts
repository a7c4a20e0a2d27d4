/** An act of a Worker: calls to databases and R2 that may fail, and a Worker that may die at any of them. */
import { drawFate } from "./fate.ts";
import { withCalls } from "./outside.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

export interface Act {
  dead: boolean;
  /** Runs once, when the act ends or its Worker dies. */
  end: () => void;
}

/** The port of a database or of R2, whose calls get their fates as in wire.ts. */
export function carried<Port extends object>(world: World, random: Random, act: Act, port: Port, home: string): Port {
  const { clock, config, outages, trace } = world;
  const [rates, ms] = home === "R2" ? [config.store, config.storeMs] : [config.log, config.logMs];
  return withCalls(port, (call, method) => {
    if (act.dead) return new Promise(() => undefined);
    const outage = outages.get(home);
    const isOut = outage !== undefined && clock.now() < outage.untilMs;
    const fate = drawFate(random, world.faulty ? rates : null, ms, isOut ? outage : null, trace);
    const { actMs, answerMs, error, crash } = fate;
    if (crash !== null) {
      trace.count("workers died");
      act.dead = true;
      act.end();
    }
    return new Promise((resolve, reject) => {
      if (crash === "before") return;
      const answer = (then: () => void): void => {
        if (answerMs !== null) clock.after(answerMs, () => !act.dead && then());
      };
      const failed = (): void => reject(new Error(`${method} ${error}`));
      if (actMs === null) return error === null ? undefined : answer(failed);
      clock.after(actMs, () => {
        call().then(
          (result) => answer(() => (error === null ? resolve(result) : failed())),
          (why: unknown) => answer(() => reject(why instanceof Error ? why : new Error(String(why)))),
        );
      });
    });
  });
}
