/** The shipped app with a change, as somebody would deploy it: an account needs one credit in reserve. */
import { keyframe } from "../../src/keyframe.ts";
import { credits } from "../../src/operators/credits.ts";
import { operators } from "../../src/operators/index.ts";

const take = credits.handlers.get("credits.take")!;
const reserved = {
  ...credits,
  handlers: new Map([
    ...credits.handlers,
    [
      "credits.take",
      ((state, event, ctx) => {
        const [{ left }, { n }] = [state as { left: number }, event.data as { n: number }];
        return left <= n ? ctx.refuse("needs_reserve", { left }) : take(state, event, ctx);
      }) satisfies typeof take,
    ],
  ]),
};

export { Keyframe, Partition } from "../../src/keyframe.ts";
export default keyframe({ operators: [...operators.filter(({ name }) => name !== "credits"), reserved] });
