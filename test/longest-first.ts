import { existsSync } from "node:fs";
import path from "node:path";
import { BaseSequencer, type TestSpecification, type Vitest } from "vitest/node";

type Order = new (vitest: Vitest) => BaseSequencer;

/**
 * Begins with these files, in this order: each works or waits as long as many others together, so it runs beside them.
 * By itself Vitest begins with the largest files. The longest would begin last, and a core would stand idle meanwhile.
 */
export function longestFirst(directory: string, ...names: readonly string[]): Order {
  const files = names.map((name) => path.join(directory, name));
  const gone = files.filter((file) => !existsSync(file));
  if (gone.length > 0) throw new Error(`${gone.join(", ")} should run first, and ${gone.length} of them do not exist`);
  const placeOf = ({ moduleId }: TestSpecification): number => {
    const place = files.indexOf(moduleId);
    return place === -1 ? files.length : place;
  };
  return class extends BaseSequencer {
    override async sort(specifications: TestSpecification[]): Promise<TestSpecification[]> {
      return (await super.sort(specifications)).toSorted((a, b) => placeOf(a) - placeOf(b));
    }
  };
}
