/**
 * The location of an app: one REGION, and one JURISDICTION if law requires it, for its objects, databases and bucket.
 * Objects far from their database pay the distance with every commit.
 *
 * An unknown name is refused. Treating it as unset would leave every location to chance, for good.
 */
import { Failure } from "../base/errors.ts";

/** Location hints of Durable Objects, and the nearest location of D1 and R2, which know fewer. */
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

/** The jurisdictions that Durable Objects, D1 and R2 have in common. */
const JURISDICTIONS = ["eu", "fedramp"] as const;

type RegionName = keyof typeof PLACES;
export type Jurisdiction = (typeof JURISDICTIONS)[number];

export interface AppLocation {
  /** Null places the app near its first caller. */
  readonly region: RegionName | null;
  /** Null if the app has no jurisdiction. */
  readonly jurisdiction: Jurisdiction | null;
}

/** Reads the settings. An empty setting counts as unset. @throws Failure invalid_region, with the known names */
export function appLocation(settings: { readonly REGION?: unknown; readonly JURISDICTION?: unknown }): AppLocation {
  const { REGION: region = "", JURISDICTION: jurisdiction = "" } = settings;
  if (region !== "" && !isRegion(region)) throw unknown("REGION", region, Object.keys(PLACES));
  if (jurisdiction !== "" && !isJurisdiction(jurisdiction)) throw unknown("JURISDICTION", jurisdiction, JURISDICTIONS);
  return { region: region === "" ? null : region, jurisdiction: jurisdiction === "" ? null : jurisdiction };
}

/** Returns the location of database and bucket. */
export const storeLocation = (region: RegionName): string => PLACES[region];

const isRegion = (name: unknown): name is RegionName => typeof name === "string" && Object.hasOwn(PLACES, name);
const isJurisdiction = (name: unknown): name is Jurisdiction => JURISDICTIONS.some((known) => known === name);

const unknown = (setting: string, given: unknown, names: readonly string[]): Failure =>
  new Failure("invalid_region", `${setting} is ${JSON.stringify(given)}; it is one of ${names.join(", ")}, or unset`);
