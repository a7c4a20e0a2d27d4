/* `npm run demo`: flights and a kill -9. `npm run demo -- timelines`: a bug, a replay with fixed code, and its undo. */
import { argv } from "node:process";

await (argv[2] === "timelines" ? import("./timelines-demo.ts") : import("./demo.ts"));
