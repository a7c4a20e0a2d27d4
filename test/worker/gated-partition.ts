/**
 * The app's own Durable Object. A test can silence its D1 (calls are then never answered) or make it small. Its R2 is
 * one that a test can take down: it then stores nothing.
 */
import { Partition as Real, type Env } from "../../src/keyframe.ts";

export const d1: { silent: boolean; limit: number | null } = { silent: false, limit: null };
export const r2 = { down: false };

export class Partition extends Real {
  constructor(ctx: DurableObjectState, env: Env) {
    const logs = Object.entries(env).filter(([name]) => /^LOG_\d/.test(name));
    const limit = d1.limit === null ? {} : { LOG_BYTES: String(d1.limit) };
    const gates = Object.fromEntries(logs.map(([name, db]) => [name, gated(db as D1Database)]));
    super(ctx, { ...env, ...limit, ...gates, SNAPSHOTS: guarded(env.SNAPSHOTS) });
  }
}

const never = (): Promise<never> => new Promise(() => undefined);
const mute = { bind: () => mute, run: never, first: never, all: never, raw: never } as unknown as D1PreparedStatement;

function gated(db: D1Database): D1Database {
  return new Proxy(db, {
    get: (target, name) => {
      if (d1.silent && name === "prepare") return () => mute;
      if (d1.silent && name === "batch") return never;
      return memberOf(target, name);
    },
  });
}

function guarded(bucket: R2Bucket): R2Bucket {
  return new Proxy(bucket, {
    get: (target, name) =>
      r2.down && name === "put" ? () => Promise.reject(new Error("R2 is down")) : memberOf(target, name),
  });
}

function memberOf(target: object, name: string | symbol): unknown {
  const member = Reflect.get(target, name, target) as unknown;
  return typeof member === "function" ? (member.bind(target) as unknown) : member;
}
