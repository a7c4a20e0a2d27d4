/** An isolate's memory of its watchers: bounded, and nothing of those who went, however they went. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { WATCH_BEAT_MS, WATCHED_CHARS, WATCHERS } from "../../../src/engine/base/limits.ts";
import { Hub, Hubs, HubMember } from "../../../src/worker/watch/watch-hub.ts";

const told = (n: number, seq: number | null, text: string | null) => ({ n, seq, text });

describe("a hub", () => {
  it("counts what changed, and nothing that it knew", () => {
    const hub = new Hub();
    const changes = [
      told(1, null, null),
      told(2, null, null),
      told(2, 5, "1"),
      told(3, 5, "1"),
      told(3, 5, "2"),
      told(3, 6, "2"),
      told(3, 7, null),
      told(4, null, null),
    ].map((message) => (hub.take(message), hub.changes));
    expect(changes).toEqual([1, 1, 2, 2, 3, 4, 5, 5]);
    // The hub knows that it is gone, not when.
    expect([hub.heard, hub.value]).toEqual([4, { seq: 7, text: null }]);
  });

  it("has one leader, who is deposed when it gives no sign of life", () => {
    const hub = new Hub();
    const [one, two] = [new HubMember(0), new HubMember(0)];
    expect([hub.lead(one, 0), hub.lead(two, 0), hub.lead(two, 3 * WATCH_BEAT_MS - 1)]).toEqual([true, false, false]);
    hub.seenMs = WATCH_BEAT_MS;
    expect(hub.lead(two, 3 * WATCH_BEAT_MS)).toBe(false);
    expect([hub.lead(two, 4 * WATCH_BEAT_MS), hub.leader === two]).toEqual([true, true]);
  });

  it("knows since when it hears nothing, whatever the reasons", () => {
    const hub = new Hub();
    hub.failed({ code: "partition_gone", message: "gone" }, 10);
    hub.failed({ code: "store_unavailable", message: "D1" }, 20);
    expect([hub.failures, hub.silence]).toEqual([2, { code: "store_unavailable", message: "D1", sinceMs: 10 }]);
    hub.take(told(1, 1, "1"));
    expect(hub.silence).toBeNull();
  });
});

describe("all hubs of an isolate", () => {
  beforeEach(() => void vi.useFakeTimers({ now: 0 }));
  afterEach(() => void vi.useRealTimers());

  it("take so many watchers and no more; who goes makes room", () => {
    const hubs = new Hubs();
    const joined = Array.from({ length: WATCHERS }, (_, i) => hubs.join(`k${i % 7}`, 0)!);
    expect([hubs.counts.hubs, hubs.join("k0", 0)]).toEqual([7, null]);
    hubs.leave("k0", joined[0]!.member);
    // Twice is once.
    hubs.leave("k0", joined[0]!.member);
    expect(hubs.counts.members).toBe(WATCHERS - 1);
    expect(hubs.join("new", 0)).not.toBeNull();
    expect(hubs.join("another", 0)).toBeNull();
  });

  it("hold so much and no more: whose value goes beyond it loses its watchers", () => {
    const hubs = new Hubs();
    const [small, large, huge] = ["small", "large", "huge"].map((name) => hubs.join(name, 0)!);
    hubs.take("small", told(1, 1, "1"));
    hubs.take("large", told(1, 1, "x".repeat(WATCHED_CHARS - 1)));
    expect([hubs.counts.chars, hubs.full]).toEqual([WATCHED_CHARS, false]);
    hubs.take("huge", told(1, 1, "xx"));
    expect([small, large, huge].map((one) => one!.member.gone)).toEqual([false, false, true]);
    expect([hubs.counts, hubs.full]).toEqual([{ hubs: 2, members: 2, chars: WATCHED_CHARS }, false]);
    hubs.take("large", told(1, 2, "y"));
    hubs.leave("small", small!.member);
    hubs.leave("large", large!.member);
    expect(hubs.counts).toEqual({ hubs: 0, members: 0, chars: 0 });
  });

  it("forget who gave no sign of life for three beats, and keep who sleeps", async () => {
    const hubs = new Hubs();
    const [silent, asleep] = [hubs.join("k", 0)!, hubs.join("k", 0)!];
    const sleeping = (async () => {
      for (let beat = 0; beat < 4; beat++) await asleep.member.sleep(WATCH_BEAT_MS);
    })();
    await vi.advanceTimersByTimeAsync(4 * WATCH_BEAT_MS);
    await sleeping;
    expect(hubs.counts.members).toBe(2);
    hubs.join("other", 4 * WATCH_BEAT_MS);
    expect([silent.member.gone, asleep.member.gone, hubs.counts.members]).toEqual([true, false, 2]);
  });

  it("wake who sleeps, early or late", async () => {
    const hubs = new Hubs();
    const { hub, member } = hubs.join("k", 0)!;
    const rung = member.sleep(1_000);
    hub.take(told(1, 1, "1"));
    expect(await rung).toBe(true);
    const late = member.sleep(1_000);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await late).toBe(false);
  });
});
