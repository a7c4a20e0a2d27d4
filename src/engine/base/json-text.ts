/** Reads the text of valid JSON, because a parsed value no longer says how it was written. */

interface JsonMember {
  readonly name: string;
  /** The value as it is written. */
  readonly text: string;
}

/** Returns the members of the object in `text`, in order. A name that stands twice gives two members. */
export function jsonMembers(text: string): JsonMember[] {
  const members: JsonMember[] = [];
  for (let at = text.indexOf("{") + 1; ; at++) {
    const open = text.indexOf('"', at);
    if (open < 0) return members;
    const close = stringEnd(text, open, text.length);
    const from = text.indexOf(":", close) + 1;
    at = valueEnd(text, from);
    const name = text.slice(open, close + 1);
    members.push({
      name: name.includes("\\") ? (JSON.parse(name) as string) : name.slice(1, -1),
      text: text.slice(from, at).trim(),
    });
    if (text[at] !== ",") return members;
  }
}

/** Returns the items of the array in `text`, as written. */
export function itemsOf(text: string): string[] {
  const items: string[] = [];
  for (let from = text.indexOf("[") + 1; ;) {
    const end = valueEnd(text, from);
    const item = text.slice(from, end).trim();
    if (item !== "") items.push(item);
    if (text[end] !== ",") return items;
    from = end + 1;
  }
}

/** Returns the index of the comma or bracket behind the value that begins at `from`. */
function valueEnd(text: string, from: number): number {
  let depth = 0;
  for (let i = from; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: // "
        i = stringEnd(text, i, text.length);
        break;
      case 0x5b: // [
      case 0x7b: // {
        depth += 1;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        if (depth === 0) return i;
        depth -= 1;
        break;
      case 0x2c: // ,
        if (depth === 0) return i;
        break;
      default:
    }
  }
  return text.length;
}

/** Returns the index of the quote that ends the string which begins at `from`. Returns `limit` if no quote stands
 *  before it. */
export function stringEnd(text: string, from: number, limit: number): number {
  for (let i = from + 1; i < limit; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0x5c) i++;
    else if (unit === 0x22) return i;
  }
  return limit;
}
