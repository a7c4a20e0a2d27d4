/** Server-sent events, from chunks of text to messages (WHATWG HTML, "Interpreting an event stream"). */

export interface Message {
  /** The event's name, "message" if the stream names none. */
  readonly event: string;
  readonly data: string;
}

/** A bound above the size of any state, so the sender of a longer message isn't the app. */
const MOST_CHARS = 8_000_000;

export class EventStream {
  #rest = "";
  #first = true;
  #data: string[] = [];
  #length = 0;
  #event = "";
  /** The last id that came. A reconnection sends it as `Last-Event-ID`. */
  lastId: string | null = null;
  /** The pause that the server asks for before the next connection. */
  retryMs: number | null = null;

  /**
   * Returns the messages that are complete now.
   * @throws RangeError if a message exceeds the bound
   */
  push(chunk: string): Message[] {
    const text = this.#rest + (this.#first ? chunk.replace(/^\uFEFF/, "") : chunk);
    if (chunk !== "") this.#first = false;
    // A CR at the end may be half of a CRLF.
    const whole = text.endsWith("\r") ? text.length - 1 : text.length;
    const lines = text.slice(0, whole).split(/\r\n|\n|\r/);
    this.#rest = lines.pop()! + text.slice(whole);
    const messages: Message[] = [];
    for (const line of lines) {
      const message = this.#line(line);
      if (message !== null) messages.push(message);
    }
    if (this.#rest.length + this.#length > MOST_CHARS)
      throw new RangeError(`a message of more than ${MOST_CHARS} characters`);
    return messages;
  }

  #line(line: string): Message | null {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    switch (field) {
      case "data":
        this.#data.push(value);
        this.#length += value.length + 1;
        break;
      case "event":
        this.#event = value;
        break;
      case "id":
        if (!value.includes("\0")) this.lastId = value;
        break;
      case "retry":
        if (/^\d{1,9}$/.test(value)) this.retryMs = Number(value);
        break;
      default:
      // Ignore comments, such as heartbeats, and fields of later versions.
    }
    return null;
  }

  #dispatch(): Message | null {
    const message = { event: this.#event || "message", data: this.#data.join("\n") };
    const any = this.#data.length > 0;
    this.#data = [];
    this.#length = 0;
    this.#event = "";
    return any ? message : null;
  }
}
