// Baseline (a): reads the same body, parses every line, answers a count, keeps nothing. It shows what HTTP and JSON
// alone cost.

import { countersAnswer } from "./counters.ts";
import { answer, lines, parse } from "./reading.ts";

export default {
  async fetch(request: Request): Promise<Response> {
    const counted = countersAnswer(request);
    if (counted !== undefined) return counted;
    const readings = (await lines(request)).map(parse);
    return answer(readings.length, readings.length);
  },
};
