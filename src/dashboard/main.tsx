/** The dashboard for the people who run the app. The page sends requests to the app's own routes only. */
import { render } from "preact";
import { Frame } from "./frame.tsx";
import { start } from "./live.ts";

start();
render(<Frame />, document.getElementById("app")!);
