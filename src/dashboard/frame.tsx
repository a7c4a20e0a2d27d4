/** The frame around every page: navigation, the state of the connection, and the token. */
import { useEffect, useRef } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { VerifyPage } from "./verify-page.tsx";
import { healthOf, NOT_KNOWN, worst } from "./health.ts";
import { KeysPage } from "./keys.tsx";
import { failure, heardAt, lookedAt, now, lastOverview, stale } from "./live.ts";
import { OperatorPage } from "./operator.tsx";
import { OverviewPage } from "./overview.tsx";
import { hrefOf, place, PAGES, timelinesHref } from "./place.ts";
import { QuarantinePage } from "./quarantine.tsx";
import { StatusLine } from "./status-line.tsx";
import { enter, locked, token } from "./session.ts";
import { age, count } from "../client/amounts.ts";
import { theme, turn } from "./theme.ts";
import { TimelinesPage } from "./timelines-page.tsx";
import { TokenDialog } from "./token-dialog.tsx";
import { Waiting } from "./waiting.tsx";

export function Frame() {
  const { operator, page, whole } = place.value;
  return (
    <>
      <a class="skip" href="#main" onClick={toMain}>
        Skip to the page
      </a>
      <header class="top">
        <a class="brand" href="#/">
          <svg viewBox="0 0 16 16" aria-hidden="true">
            <path d="M8 1l7 7-7 7-7-7z" />
          </svg>
          Keyframe
        </a>
        <Operators />
        <Pulse />
        <button type="button" class="quiet" onClick={turn} title="Switches the colours: as the system is, light, dark">
          Theme: {theme.value}
        </button>
        {token.value !== null && (
          <button type="button" class="quiet" onClick={() => enter(null)} title="This tab forgets the token">
            Forget token
          </button>
        )}
      </header>
      <main id="main" tabIndex={-1} class={stale.value ? "stale" : ""}>
        <StatusLine />
        {whole === "timelines" ? (
          <Titled key="/timelines" title="Timelines" page={<TimelinesPage />} />
        ) : operator === null ? (
          <Titled key="/" title="Overview" page={<OverviewPage />} />
        ) : (
          <OfOperator key={`${operator}/${page}`} />
        )}
      </main>
      <TokenDialog />
    </>
  );
}

/** Keeps the address, since the part after "#" is the page. */
function toMain(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Operators() {
  const all = lastOverview.value?.operators ?? [];
  const { operator: here, whole } = place.value;
  return (
    <nav aria-label="Operators">
      <a href="#/" aria-current={here === null && whole === "overview" ? "page" : undefined}>
        Overview
      </a>
      <a href={timelinesHref()} aria-current={whole === "timelines" ? "page" : undefined}>
        Timelines
      </a>
      {all.map((one) => {
        const { level, why } =
          one.lost !== undefined
            ? { level: "bad", why: one.lost }
            : stale.value
              ? NOT_KNOWN
              : worst(one.partitions.map((partition) => healthOf(partition, one, lookedAt())));
        return (
          <a key={one.name} href={hrefOf(one.name)} aria-current={here === one.name ? "page" : undefined}>
            {one.name}
            {(level === "note" || level === "bad") && <i class={`dot ${level}`} role="img" aria-label={why} />}
          </a>
        );
      })}
    </nav>
  );
}

/** Shows whether the page is up to date. */
function Pulse() {
  const heard = heardAt.value;
  if (locked.value !== null) return <p class="pulse">locked</p>;
  if (failure.value !== null)
    return (
      <p class="pulse bad" title={failure.value}>
        no answer{heard === null ? "" : ` for ${age(now.value - heard)}`}
      </p>
    );
  return <p class="pulse">{heard === null ? "connecting" : "live"}</p>;
}

function OfOperator() {
  const { operator, page } = place.value;
  const name = operator!;
  const found = lastOverview.value;
  if (found === null) return <Titled title={name} page={<Waiting />} />;
  const one = found.operators.find((one) => one.name === name);
  if (one === undefined)
    return <Titled title={name} page={<p class="empty">The app has no operator of this name.</p>} />;
  const pages = { partitions: OperatorPage, keys: KeysPage, verify: VerifyPage, quarantine: QuarantinePage } as const;
  const Inner = pages[page];
  const waiting = one.partitions.reduce((sum, { quarantined }) => sum + quarantined, 0);
  return (
    <Titled
      title={name}
      note={`operator version ${one.version}`}
      page={
        <>
          <nav class="tabs" aria-label={`Pages of ${name}`}>
            {PAGES.map(([id, words]) => (
              <a key={id} href={hrefOf(name, id)} aria-current={id === page ? "page" : undefined}>
                {words}
                {id === "quarantine" && waiting > 0 && <b class="badge">{count(waiting)}</b>}
              </a>
            ))}
          </nav>
          {one.lost === undefined ? <Inner operator={name} /> : <Lost code={one.lost} name={name} />}
        </>
      }
    />
  );
}

const Lost = ({ code, name }: { readonly code: string; readonly name: string }) => (
  <p class="trouble">
    It can't be used: <code>{code}</code>. If R2 still has its snapshots,{" "}
    <code>npx keyframe-streams recover --from-r2 {name}</code> rebuilds what D1 has lost.
  </p>
);

/** A page with its heading, which gets the focus when the reader comes from another page. */
function Titled({
  title,
  note,
  page,
}: {
  readonly title: string;
  readonly note?: string;
  readonly page: ComponentChildren;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · Keyframe`;
    if (arrived) heading.current?.focus();
    arrived = true;
  }, [title]);
  return (
    <>
      <h1 ref={heading} tabIndex={-1}>
        {title} {note !== undefined && <small>{note}</small>}
      </h1>
      {page}
    </>
  );
}

/** The first page leaves the focus to the browser. */
let arrived = false;
