/** The test kit in a project that has Node's types and not those of Workers. */
import { given, later } from "keyframe-streams/test";
import { clicks } from "../page/clicks.ts";

const clicked = { type: "button.clicked", data: { button: "buy" } } as const;
export const counted = given(clicks, [clicked, later("10m"), clicked], {
  from: { version: 1, states: { buy: { n: 3 } } },
})
  .at("buy")
  .expect({ clicks: 5 });
