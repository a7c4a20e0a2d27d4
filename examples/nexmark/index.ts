/*
 * The Worker. The variable QUERIES says which queries run, such as "3" or "3,17". By default all of them do.
 *
 * Each query costs a log and a state of its own, so that the time of one query is measured without the others.
 */
import { env } from "cloudflare:workers";
import { keyframe } from "../../src/keyframe.ts";
import { queries } from "./queries.ts";

export { Keyframe, Partition } from "../../src/keyframe.ts";

const { QUERIES = "" } = env as { readonly QUERIES?: string };
const wanted = QUERIES === "" ? queries : queries.filter(({ number }) => QUERIES.split(",").includes(String(number)));

export default keyframe({ operators: wanted.flatMap(({ operators }) => operators) });
