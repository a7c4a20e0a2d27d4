/* `npm run demo`: flights and a kill -9. `npm run demo -- timelines`: a bug, the way back, and the way back from that. */
import { argv } from "node:process";

await (argv[2] === "timelines" ? import("./timelines-demo.ts") : import("./demo.ts"));
