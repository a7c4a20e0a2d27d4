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
  let failed: readonly FailedItem[] = [];
  for (let left = most; left > 0;) {
    const limit = String(Math.min(PAGE, left));
    const search = new URLSearchParams({ ...query, limit, ...(cursor === undefined ? {} : { cursor }) });
    const page = (await app.get(`${path}?${search.toString()}`)) as Page<T> & {
      readonly failed?: readonly FailedItem[];
    };
    yield* page.items;
    left -= page.items.length;
    failed = [...failed, ...(page.failed ?? [])].slice(0, FAILED_SHOWN);
    if (page.cursor === undefined) break;
    // Else it would never end.
    if (page.cursor === cursor) throw new Trouble(`${path} gave the same page twice`);
    ({ cursor } = page);
  }
  // Behind all others, so that they are there, and nobody takes them for all.
  if (failed.length > 0) throw new Trouble(failed.map(({ message }) => message).join("\n"));
}

/** What the app can't give, with the reason. */
interface FailedItem {
  readonly key: string;
  readonly message: string;
}
const FAILED_SHOWN = 20;
