/**
 * Where an app lives: one REGION, and where law asks for it one JURISDICTION, for its objects, databases and bucket. Objects
 * far from their database pay the way for every commit.
 *
 * A name that isn't known is refused: taken for none, it would place everything where chance has it, for good.
 */
import { Failure } from "../base/errors.ts";

/** Location hints of Durable Objects, and the location of D1 and R2 that is nearest: they know fewer. */
const PLACES = {
  wnam: "wnam",
  enam: "enam",
  sam: "enam",
  weur: "weur",
  eeur: "eeur",
  apac: "apac",
  "apac-ne": "apac",
  "apac-se": "apac",
  oc: "oc",
  afr: "weur",
  me: "eeur",
} as const;

/** Those that Durable Objects, D1 and R2 have in common. */
const JURISDICTIONS = ["eu", "fedramp"] as const;

export type RegionName = keyof typeof PLACES;
export type Jurisdiction = (typeof JURISDICTIONS)[number];

export interface Place {
  /** Null: near whoever calls first. */
  readonly region: RegionName | null;
  /** Null: none. */
  readonly jurisdiction: Jurisdiction | null;
}

/** What the settings say; one that is empty says nothing. @throws Failure invalid_region, with the names that there are */
export function placeOf(settings: { readonly REGION?: unknown; readonly JURISDICTION?: unknown }): Place {
  const { REGION: region = "", JURISDICTION: jurisdiction = "" } = settings;
  if (region !== "" && !isRegion(region)) throw unknown("REGION", region, Object.keys(PLACES));
  if (jurisdiction !== "" && !isJurisdiction(jurisdiction)) throw unknown("JURISDICTION", jurisdiction, JURISDICTIONS);
  return { region: region === "" ? null : region, jurisdiction: jurisdiction === "" ? null : jurisdiction };
}

/** Where database and bucket belong. */
export const storeLocation = (region: RegionName): string => PLACES[region];

const isRegion = (name: unknown): name is RegionName => typeof name === "string" && Object.hasOwn(PLACES, name);
const isJurisdiction = (name: unknown): name is Jurisdiction => JURISDICTIONS.some((known) => known === name);

const unknown = (setting: string, given: unknown, names: readonly string[]): Failure =>
  new Failure("invalid_region", `${setting} is ${JSON.stringify(given)}; it is one of ${names.join(", ")}, or unset`);
