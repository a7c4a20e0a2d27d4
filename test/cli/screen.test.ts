/** Output: in order, no faster than it is read, and no longer than anybody reads. */
import { Writable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { Screen } from "../../src/cli/screen.ts";

/** A reader that takes one write after the other, when it is told. */
class Slow extends Writable {
  text = "";
  take: ((error?: Error) => void) | null = null;

  constructor() {
    super({ highWaterMark: 1 });
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    this.text += chunk.toString();
    this.take = done;
  }
}

const LONG = "x".repeat(70_000);

describe("the screen", () => {
  it("O2: makes whoever prints wait for a reader that is behind", async () => {
    const out = new Slow();
    const screen = new Screen(out, new Slow());
    let printed = false;
    const printing = screen.print(LONG).then(() => (printed = true));
    await setImmediate();
    expect([out.text.length, printed]).toEqual([70_001, false]);
    out.take!();
    await printing;
    expect(printed).toBe(true);
  });

  it("O4: writes the lines of one turn together, and by itself", async () => {
    const out = new Slow();
    const screen = new Screen(out, new Slow());
    await screen.print("a");
    await screen.print("b");
    expect(out.text).toBe("");
    await setImmediate();
    expect(out.text).toBe("a\nb\n");
  });

  it("writes what was printed before it says something", async () => {
    const [out, err] = [new Slow(), new Slow()];
    const screen = new Screen(out, err);
    await screen.print("a");
    screen.say("b");
    expect([out.text, err.text]).toEqual(["a\n", "b\n"]);
  });

  it("O3: a reader that is gone ends the wait, and is written to no more", async () => {
    const out = new Slow();
    const screen = new Screen(out, new Slow());
    const printing = screen.print(LONG);
    await setImmediate();
    out.take!(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
    await printing;
    expect(screen.closed).toBe(true);
    await screen.print(LONG);
    expect(out.text).toHaveLength(70_001);
  });

  it("O3: tells at the end what couldn't be written, also where nothing waits for it", async () => {
    const out = new Slow();
    const screen = new Screen(out, new Slow());
    await screen.print("a");
    const end = screen.end();
    await setImmediate();
    out.take!(Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" }));
    expect(await end).toMatchObject({ code: "ENOSPC" });
    const fine = new Slow();
    const other = new Screen(fine, new Slow());
    await other.print("a");
    const ended = other.end();
    await setImmediate();
    fine.take!();
    expect(await ended).toBeNull();
  });

  it("O5: a terminal gets no character that it would obey, and every other reader gets all", async () => {
    const text = "\u007f \u009b31m \u202e \u2066 \u0007 \u001b]0;title \u001b[31mred\u001b[39m é";
    const terminal = Object.assign(new Slow(), { isTTY: true });
    for (const [stream, shown] of [
      [terminal, "\\u007f \\u009b31m \\u202e \\u2066 \\u0007 \\u001b]0;title \u001b[31mred\u001b[39m é\n"],
      [new Slow(), `${text}\n`],
    ] as const) {
      const screen = new Screen(stream, stream);
      await screen.print(text);
      await setImmediate();
      expect(stream.text).toBe(shown);
      stream.take!();
      screen.say(text);
      expect(stream.text).toBe(shown + shown);
    }
  });

  it("O1: paints nothing where the stream is no terminal, or has no colours", () => {
    expect(new Screen(new Slow(), new Slow()).paint("red", "a")).toBe("a");
    const terminal = (colours: boolean) => Object.assign(new Slow(), { isTTY: true, hasColors: () => colours });
    expect(new Screen(terminal(false), terminal(true)).paint("red", "a")).toBe("a");
    expect(new Screen(terminal(true), terminal(true)).paint("red", "a")).toBe("\u001b[31ma\u001b[39m");
  });
});
