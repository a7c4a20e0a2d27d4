/*
 * Reads the parts of a deployment from wrangler.toml for one environment, or the reason why it must not be deployed.
 * Pure.
 *
 * 1. No two environments share a database or a bucket: the objects of one would write into the other's log.
 * 2. Missing bindings and vars of an environment are refused here, since environments inherit none and wrangler would
 *    deploy without them.
 */
import { parse } from "smol-toml";
import { appLocation, type AppLocation } from "../engine/operator/region.ts";

export interface Deployment {
  readonly databases: readonly { readonly binding: string; readonly name: string }[];
  readonly bucket: string;
  readonly place: AppLocation;
}

type Read =
  { readonly tag: "deployment"; readonly deployment: Deployment } | { readonly tag: "refused"; readonly why: string };

type Table = Readonly<Record<string, unknown>>;

/** `environment` is the name in `--env`, or null for the top level. */
export function readDeployment(toml: string, environment: string | null): Read {
  const refused = (why: string): Read => ({ tag: "refused", why });
  let config: Table;
  try {
    config = parse(toml);
  } catch (error) {
    return refused(`it isn't valid TOML: ${error instanceof Error ? error.message.split("\n")[0] : "unknown"}`);
  }
  const environments = (config["env"] ?? {}) as Readonly<Record<string, Table>>;
  const shared = sharedStore({ "the top level": config, ...environments });
  if (shared !== null) return refused(shared);
  const at = environment === null ? config : environments[environment];
  if (at === undefined)
    return refused(
      `there is no environment "${environment}"; there are ${Object.keys(environments).join(", ") || "none"}`,
    );
  return deploymentOf(at, config, environment === null ? "the top level" : `environment "${environment}"`);
}

function deploymentOf(at: Table, top: Table, where: string): Read {
  const refused = (why: string): Read => ({ tag: "refused", why: `${where} ${why}` });
  const databases = tables(at, "d1_databases").filter(({ binding }) => /^LOG_\d+$/.test(String(binding)));
  const bucket = tables(at, "r2_buckets").find(({ binding }) => binding === "SNAPSHOTS");
  const objects = tables((at["durable_objects"] ?? {}) as Table, "bindings");
  if (!databases.some(({ binding }) => binding === "LOG_0")) return refused("has no D1 database bound as LOG_0");
  const nameless = databases.find(({ database_name: name }) => typeof name !== "string");
  if (nameless !== undefined) return refused(`has a database ${String(nameless["binding"])} without database_name`);
  if (typeof bucket?.["bucket_name"] !== "string")
    return refused("has no R2 bucket bound as SNAPSHOTS, with its bucket_name");
  if (!objects.some(({ name }) => name === "PARTITION")) return refused("has no Durable Object bound as PARTITION");
  // Environments inherit triggers.
  const crons = ((at["triggers"] ?? top["triggers"]) as Table | undefined)?.["crons"];
  if (!Array.isArray(crons) || crons.length === 0)
    return refused('has no cron trigger, so lost alarms would stay lost: add [triggers] crons = ["*/10 * * * *"]');
  let place: AppLocation;
  try {
    place = appLocation(at["vars"] ?? {});
  } catch (error) {
    return refused(`can't be placed: ${(error as Error).message}`);
  }
  const stands = (bucket["jurisdiction"] as string | undefined) ?? null;
  if (stands !== place.jurisdiction)
    return refused(
      `has JURISDICTION ${place.jurisdiction ?? "unset"}, but its bucket has jurisdiction ${stands ?? "unset"}: write the same into [[r2_buckets]]`,
    );
  const named = databases.map((one) => ({ binding: String(one["binding"]), name: String(one["database_name"]) }));
  return { tag: "deployment", deployment: { databases: named, bucket: bucket["bucket_name"], place } };
}

/** Returns the two environments that share a store, and the store, or null if none do. */
function sharedStore(environments: Readonly<Record<string, Table>>): string | null {
  const owners = new Map<string, string>();
  for (const [name, environment] of Object.entries(environments)) {
    for (const store of storesOf(environment)) {
      const owner = owners.get(store);
      if (owner !== undefined)
        return `${owner} and ${name} share ${store}: give each environment its own, or one would write into the other's log`;
    }
    for (const store of storesOf(environment)) owners.set(store, name);
  }
  return null;
}

function storesOf(environment: Table): Set<string> {
  const found = new Set<string>();
  for (const { database_name: name, database_id: id } of tables(environment, "d1_databases")) {
    if (typeof name === "string") found.add(`database ${name}`);
    if (typeof id === "string") found.add(`database ${id}`);
  }
  for (const { bucket_name: name, jurisdiction = "" } of tables(environment, "r2_buckets"))
    if (typeof name === "string")
      found.add(`bucket ${name}${jurisdiction === "" ? "" : ` in ${String(jurisdiction)}`}`);
  return found;
}

const tables = (at: Table, name: string): Table[] => (Array.isArray(at[name]) ? (at[name] as Table[]) : []);
