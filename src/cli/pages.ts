/** Lists that the app gives in pages, as one stream. Each page is requested when the one before it is used up. */
import type { Page } from "../client/admin-answers.ts";
import { withQuery, type AppClient } from "./app.ts";
import { CommandError } from "./command.ts";

const PAGE = 1_000;

/** Yields up to `most` items. */
export async function* pages<T>(
  app: AppClient,
  path: string,
  query: Readonly<Record<string, string>>,
  most: number,
): AsyncGenerator<T> {
  for await (const { items } of wholePages<T, object>(app, path, () => query, most)) yield* items;
}

/** Yields pages with up to `most` items together. `query` is asked for each page. */
export async function* wholePages<T, Members>(
  app: AppClient,
  path: string,
  query: () => Readonly<Record<string, string>>,
  most: number,
): AsyncGenerator<Page<T> & Members> {
  let cursor: string | undefined;
  let failed: readonly FailedItem[] = [];
  for (let left = most; left > 0;) {
    const limit = String(Math.min(PAGE, left));
    const search = { ...query(), limit, ...(cursor === undefined ? {} : { cursor }) };
    const page = (await app.get(withQuery(path, search))) as Page<T> &
      Members & {
        readonly failed?: readonly FailedItem[];
      };
    yield page;
    left -= page.items.length;
    failed = [...failed, ...(page.failed ?? [])].slice(0, FAILED_SHOWN);
    if (page.cursor === undefined) break;
    // Without this check a page that repeats would never end the loop.
    if (page.cursor === cursor) throw new CommandError(`${path} returned the same page twice`);
    ({ cursor } = page);
  }
  // Thrown after all items, so that the items are shown and nobody takes them for the complete list.
  if (failed.length > 0) throw new CommandError(failed.map(({ message }) => message).join("\n"));
}

/** An item that the app can't give, with the reason. */
interface FailedItem {
  readonly key: string;
  readonly message: string;
}
const FAILED_SHOWN = 20;
