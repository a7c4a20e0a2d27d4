/** The app's own Durable Object, with a D1 that a test can silence: its calls are then never answered. */
import { Partition as Real, type Env } from "../../src/keyframe.ts";

export const d1 = { silent: false };

export class Partition extends Real {
  constructor(ctx: DurableObjectState, env: Env) {
    const logs = Object.entries(env).filter(([name]) => name.startsWith("LOG_"));
    super(ctx, { ...env, ...Object.fromEntries(logs.map(([name, db]) => [name, gated(db as D1Database)])) });
  }
}

const never = (): Promise<never> => new Promise(() => undefined);
const mute = { bind: () => mute, run: never, first: never, all: never, raw: never } as unknown as D1PreparedStatement;

function gated(db: D1Database): D1Database {
  return new Proxy(db, {
    get: (target, name) => {
      if (d1.silent && name === "prepare") return () => mute;
      if (d1.silent && name === "batch") return never;
      const member = Reflect.get(target, name, target) as unknown;
      return typeof member === "function" ? (member.bind(target) as unknown) : member;
    },
  });
}
