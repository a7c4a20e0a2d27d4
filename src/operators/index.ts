/** The operators of this app: one file each, listed here. */
import { airportDelays } from "./airport-delays.ts";
import { credits } from "./credits.ts";
import { uppercase } from "./uppercase.ts";
import { usage } from "./usage.ts";

export const operators = [uppercase, airportDelays, credits, usage];
