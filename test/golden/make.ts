/**
 * Writes the golden files of a format version, once: `node test/golden/make.ts v1`. Files that are there are never written
 * again, since what they are good for is that no later code has touched them.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { PUT, REMOVE } from "../../src/engine/state/edit.ts";
import { readManifest } from "../../src/engine/snapshot/manifest.ts";
import { brotli } from "../../src/adapters/brotli.ts";
import { partitionName } from "../../src/engine/base/ids.ts";
import { World, type Incarnation, type Sent } from "../engine/fakes/world.ts";
import { decode, FILES, GOLDEN, golden, ID, type Files } from "./decode.ts";

async function make(): Promise<Files> {
  const world = new World();
  const one = world.start(golden);
  const send = (...events: readonly Sent[]) => world.send(one, ...events);
  await send(
    { id: "a1", key: "a", data: 1 },
    { id: "é\n", key: "k😀/\t", data: 2 },
    { id: "a3", key: "gone", data: 3 },
  );
  await world.clock.advance(90_000);
  await send({ id: "no", key: "a", data: 0 }, { id: "q1", key: "b", data: "boom" }, { id: "a6", key: "c", data: 6 });
  const request = world.slice([{ id: "p1", key: "p", data: 7 }], true, { id: "till-1", epoch: 1, number: 4 });
  await world.clock.run(one.partition.append(request));
  const full = await snapshot(world, one);
  await world.clock.advance(90_000);
  await send(
    { id: "a8", key: "a", data: 8 },
    { id: "a9", key: "gone", data: "gone" },
    { id: "q2", key: "b", data: "boom" },
  );
  // Large enough to be packed.
  const many = Array.from({ length: 60 }, (_, i) => ({ id: `many-${i}`, key: `m${i % 5}`, data: i + 1 }));
  // Edits: one that counts, and one whose condition doesn't hold.
  const put = { type: PUT, data: { if: "any", version: 1, state: { total: 100, times: 1 } } };
  const remove = { type: REMOVE, data: { if: [[1, 7]], version: 1 } };
  await send(...many, { ...put, id: "put", key: "m1" }, { ...remove, id: "remove", key: "m2" });
  const delta = await snapshot(world, one);
  if (full.kind !== "full" || delta.kind !== "delta") throw new Error(`they are ${full.kind} and ${delta.kind}`);
  const object = (name: string): Uint8Array => world.store.objects.get(name)!;
  const row = world.db.segments.get(partitionName(ID))!.find(({ codec }) => codec !== "json")!;
  return {
    "full.kfs": object(full.snapshot.name),
    "delta.kfs": object(delta.snapshot.name),
    "manifest.kfm": object(delta.archive.name),
    "segment.json": new TextEncoder().encode(`${JSON.stringify(row)}\n`),
  };
}

async function snapshot(world: World, one: Incarnation) {
  const taken = await world.clock.run(one.partition.snapshot());
  if (taken.tag !== "current") throw new Error(`no snapshot: ${taken.tag}`);
  return readManifest(JSON.stringify(taken.manifest), brotli.crc32);
}

const version = process.argv[2] ?? "";
if (!/^v\d+$/.test(version)) throw new Error("say which version: node test/golden/make.ts v3");
const folder = path.join(GOLDEN, version);
if (existsSync(folder)) throw new Error(`${folder} is there: golden files are never written again`);
const files = await make();
mkdirSync(folder, { recursive: true });
for (const name of FILES) writeFileSync(path.join(folder, name), files[name]);
writeFileSync(path.join(folder, "expected.json"), `${JSON.stringify(decode(files))}\n`);
