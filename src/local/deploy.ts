/* `npm run deploy`: see deploying.ts. */
import { writeDashboard } from "./build-dashboard.ts";
import { CONFIG_PATH, PROJECT_DIR } from "./config.ts";
import { deploy } from "./deploying.ts";
import { projectNode, WRANGLER } from "./wrangler.ts";

await writeDashboard();
const command = [projectNode(), "--no-warnings", WRANGLER];
process.exit(deploy({ args: process.argv.slice(2), configPath: CONFIG_PATH, directory: PROJECT_DIR, command }));
