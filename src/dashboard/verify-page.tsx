/** Proves a recovery: drops a partition from memory, and shows the recovered values, their source, and the time. */
import { useState } from "preact/hooks";
import { errorText } from "./api.ts";
import { evictAndLook, snapshotNow, verifyNow, type KeyComparison, type Happened } from "./verify.ts";
import { lastOverview } from "./live.ts";
import { hrefOf, place, replace } from "./place.ts";
import { PhaseKeys, Phases } from "./recoveries.tsx";
import { Sure } from "./sure.tsx";
import { count, many, span } from "../client/amounts.ts";

export function VerifyPage({ operator }: { readonly operator: string }) {
  const { query } = place.value;
  const partition = Number(query.get("partition") ?? 0);
  const key = query.get("key") ?? "";
  const partitions = lastOverview.value?.operators.find(({ name }) => name === operator)?.partitions.length ?? 1;
  const [busy, setBusy] = useState<string | null>(null);
  const [done, setDone] = useState<readonly Happened[]>([]);
  const [error, setError] = useState<string | null>(null);
  const go = (change: Record<string, string>): void => {
    const next = { partition: String(partition), key, ...change };
    replace(hrefOf(operator, "verify", { partition: next.partition, ...(next.key === "" ? {} : { key: next.key }) }));
  };
  const run = async (what: string, act: (say: (step: string) => void) => Promise<Happened>): Promise<void> => {
    setError(null);
    setBusy(what);
    try {
      const happened = await act(setBusy);
      setDone((before) => [happened, ...before].slice(0, MOST));
    } catch (error) {
      setError(errorText(error));
    } finally {
      setBusy(null);
    }
  };
  return (
    <>
      <section class="panel" aria-labelledby="verify-title">
        <h2 id="verify-title">Verify</h2>
        <p class="hint">
          “Evict” drops the partition's object from memory as a crash would: nothing is saved first. The next request
          opens it again from its newest snapshot and the tail of the log. Events may arrive meanwhile.
        </p>
        <div class="fields">
          <label class="field">
            Partition
            <select value={String(partition)} onChange={(event) => go({ partition: event.currentTarget.value })}>
              {Array.from({ length: partitions }, (_, i) => (
                <option key={i} value={String(i)}>
                  {i}
                </option>
              ))}
            </select>
          </label>
          <label class="field">
            Key to compare
            <input
              type="text"
              value={key}
              placeholder="some of its keys"
              onInput={(event) => go({ key: event.currentTarget.value })}
              autocomplete="off"
              autocapitalize="off"
              spellcheck={false}
            />
          </label>
        </div>
        <p class="actions">
          <Sure
            label="Evict"
            title={`Evict partition ${partition}?`}
            yes="Evict it"
            no="Leave it"
            disabled={busy !== null}
            act={() => void run("Reading the state", (say) => evictAndLook(operator, partition, key, say))}
          >
            Its object ends at once, as in a crash. Calls that are under way fail and are sent again; nothing is lost.
          </Sure>
          <button
            type="button"
            disabled={busy !== null}
            onClick={() => void run("Taking a snapshot", () => snapshotNow(operator, partition))}
          >
            Snapshot now
          </button>
          <button
            type="button"
            disabled={busy !== null}
            onClick={() => void run("Rebuilding the state beside the live one", () => verifyNow(operator, partition))}
          >
            Verify
          </button>
        </p>
        <p role="status" class="said">
          {busy === null ? "" : `${busy} …`}
        </p>
        {error !== null && <p class="trouble">{error}</p>}
      </section>
      {done.map((one) => (
        <Result key={one.at} one={one} />
      ))}
    </>
  );
}

/** Results that stay on the page. */
const MOST = 10;

function Result({ one }: { readonly one: Happened }) {
  switch (one.tag) {
    case "evicted":
      return <Evicted one={one} />;
    case "saved":
      return (
        <section class="panel result">
          <h2>Snapshot {one.number} is current</h2>
          <p>
            {one.kind}, {one.size}, through event {count(one.seq)}; the answer took {span(one.ms)}.
          </p>
        </section>
      );
    case "verified":
      return (
        <section class={`panel result ${one.equal ? "" : "wrong"}`}>
          <h2>{one.equal ? "Rebuilt, and equal" : "Rebuilt, and different"}</h2>
          <p>
            {one.text}; it took {span(one.ms)}.
          </p>
        </section>
      );
  }
}

function Evicted({ one }: { readonly one: Extract<Happened, { tag: "evicted" }> }) {
  const { partition, before, after, report, backMs, keys } = one;
  const wrong = keys.filter(({ verdict }) => verdict === "differs").length;
  const came = after - before;
  return (
    <section
      class={`panel result ${wrong > 0 || came < 0 ? "wrong" : ""}`}
      aria-label={`Recovery of partition ${partition}`}
    >
      <h2>{wrong > 0 || came < 0 ? "Something is missing" : "Recovered, and nothing is missing"}</h2>
      <p>
        Partition {partition} answered {span(backMs)} after its eviction, by this browser's clock.
      </p>
      {report !== null && <Phases report={report} />}
      <div class="scroll" tabIndex={0} role="region" aria-label="Before and after">
        <table>
          <thead>
            <tr>
              <th scope="col">What</th>
              <th scope="col" class="n">
                Before
              </th>
              <th scope="col" class="n">
                After
              </th>
              <th scope="col" />
            </tr>
          </thead>
          <tbody>
            <tr>
              <th scope="row">events applied</th>
              <td class="n">{count(before)}</td>
              <td class="n">{count(after)}</td>
              <td>
                {came === 0 ? "same" : came > 0 ? `${many(came, "event")} arrived meanwhile` : `${-came} are missing`}
              </td>
            </tr>
            {keys.map((row) => (
              <KeyRow key={row.key} row={row} />
            ))}
          </tbody>
        </table>
      </div>
      {keys.length === 0 && <p class="hint">No key of this partition was found to compare; name one above.</p>}
      <PhaseKeys />
    </section>
  );
}

const VERDICTS = { same: "same", moved: "changed by an event meanwhile", differs: "differs" } as const;

const KeyRow = ({ row: { key, before, after, verdict } }: { readonly row: KeyComparison }) => (
  <tr>
    <th scope="row" class="mono">
      {key}
    </th>
    <td class="json">{before}</td>
    <td class="json">{after}</td>
    <td class={verdict === "differs" ? "verdict bad" : ""}>{VERDICTS[verdict]}</td>
  </tr>
);
