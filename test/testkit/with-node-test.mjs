/** Run by testkit.test.ts with node:test: the second of these must fail. */
import { test } from "node:test";
import { credits } from "../../src/operators/credits.ts";
import { given } from "../../src/testkit/testkit.ts";

const ada = given(credits, [{ type: "credits.bought", data: { account: "ada", n: 5 } }]);
test("what holds", () => ada.at("ada").expect({ left: 5, taken: 0 }));
test("what doesn't", () => ada.at("ada").expect({ left: 6, taken: 0 }));
