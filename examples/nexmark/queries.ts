/* All queries that are there: one file each, listed here. */
import type { Query } from "./query.ts";
import { q0 } from "./queries/q0.ts";
import { q1 } from "./queries/q1.ts";
import { q2 } from "./queries/q2.ts";
import { q3 } from "./queries/q3.ts";
import { q9 } from "./queries/q9.ts";
import { q17 } from "./queries/q17.ts";
import { q18 } from "./queries/q18.ts";
import { q19 } from "./queries/q19.ts";
import { q20 } from "./queries/q20.ts";

export const queries: readonly Query[] = [q0, q1, q2, q3, q9, q17, q18, q19, q20];
