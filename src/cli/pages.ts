/** Lists that the app gives in pages, as one stream: a page is asked for when the one before it is used up. */
import type { Page } from "./answers.ts";
import type { App } from "./app.ts";
import { Trouble } from "./command.ts";

const PAGE = 1_000;

/** Up to `most` items. */
export async function* pages<T>(
  app: App,
  path: string,
  query: Readonly<Record<string, string>>,
  most: number,
): AsyncGenerator<T> {
  let cursor: string | undefined;
  for (let left = most; left > 0;) {
    const limit = String(Math.min(PAGE, left));
    const search = new URLSearchParams({ ...query, limit, ...(cursor === undefined ? {} : { cursor }) });
    const page = (await app.get(`${path}?${search.toString()}`)) as Page<T>;
    yield* page.items;
    left -= page.items.length;
    if (page.cursor === undefined) return;
    // Else it would never end.
    if (page.cursor === cursor) throw new Trouble(`${path} gave the same page twice`);
    ({ cursor } = page);
  }
}
