import { test } from "node:test";
import { deterministic, given } from "keyframe-streams/test";
import { visits } from "../src/visits.ts";

const home = { type: "page.visited", data: { page: "home" } } as const;

test("counts", () => given(visits, [home, home]).at("home").expect({ visits: 2 }));
test("is deterministic", () => deterministic(visits, [home, home, { ...home, data: { page: "closed" } }]));
