/** The dashboard: what an operator of the app looks at. It talks to the app's own routes and to nobody else. */
import { render } from "preact";
import { Frame } from "./frame.tsx";
import { start } from "./live.ts";

start();
render(<Frame />, document.getElementById("app")!);
