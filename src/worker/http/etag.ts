/** ETags of states: the partition, and the tag of the last change (engine/state/edit.ts). */
import { tagOf, type Tag } from "../../engine/state/edit.ts";

export function etagOf(partition: number, entry: { readonly seq: number; readonly text: string }): string {
  const [seq, print] = tagOf(entry);
  return `"${partition}-${seq}-${print.toString(36)}"`;
}

const LISTED = /\s*(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)/y;
const OURS = /^(\d{1,9})-(\d{1,16})-([0-9a-z]{1,7})$/;

/**
 * Returns the tags in a list of ETags that may belong to a state in this partition, or null if the list is malformed.
 * Weak ETags are left out: they say that two states are alike, and not that they are the same.
 */
export function tagsOf(header: string, partition: number): Tag[] | null {
  const tags: Tag[] = [];
  LISTED.lastIndex = 0;
  for (let at = 0; at < header.length; at = LISTED.lastIndex) {
    LISTED.lastIndex = at;
    const match = LISTED.exec(header);
    if (match === null) return null;
    const [, weak, text] = match;
    const ours = OURS.exec(text!);
    if (weak === undefined && ours !== null && Number(ours[1]) === partition)
      tags.push([Number(ours[2]), Number.parseInt(ours[3]!, 36)]);
  }
  return tags;
}
