/**
 * Writes docs/monitoring: a Grafana dashboard and Prometheus rules, made from the table of metrics (`npm run
 * build:monitoring`). test/engine/monitoring.test.ts fails if the files aren't what this makes, or a metric isn't in
 * the table.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { format } from "prettier";
import type { Family } from "../../src/worker/metrics/exposition.ts";
import { APP_FAMILIES, FAMILIES } from "../../src/worker/metrics/metric-list.ts";
import { PROJECT_DIR } from "../../src/local/config.ts";

const ALL = { ...FAMILIES, ...APP_FAMILIES };
export const MONITORING_DIR = join(PROJECT_DIR, "docs", "monitoring");

interface Alert {
  readonly alert: string;
  readonly expr: string;
  /** How long it must hold; missing: at once. */
  readonly for?: string;
  readonly severity: "page" | "ticket";
  readonly summary: string;
  readonly action: string;
}

const target = `on (operator) group_left () ${ALL.target.name}`;
const increased = (family: Family, labels: string, over: string): string =>
  `increase(${family.name}${labels}[${over}])`;
const A_DAY_AND_AN_HOUR_SEC = 90_000;

export const ALERTS: readonly Alert[] = [
  {
    alert: "KeyframeSilent",
    expr: `absent(${ALL.up.name})`,
    for: "5m",
    severity: "page",
    summary: "No app answers the scrape",
    action: "Look whether the Worker answers GET /healthz, and at the scraper's token.",
  },
  {
    alert: "KeyframeDatabaseDown",
    expr: `${ALL.up.name} == 0`,
    for: "2m",
    severity: "page",
    summary: "Database {{ $labels.database }} doesn't answer",
    action: "Events of its partitions are answered 503 and sent again. Look at Cloudflare's status of D1.",
  },
  {
    alert: "KeyframeOperatorLost",
    expr: `${ALL.lost.name} > 0`,
    severity: "page",
    summary: "D1 doesn't know how {{ $labels.operator }} was placed",
    action: "keyframe recover --from-r2 {{ $labels.operator }}",
  },
  {
    alert: "KeyframeDatabaseNearlyFull",
    expr: `${ALL.size.name} / on (database) ${ALL.limit.name} > 0.8`,
    severity: "ticket",
    summary: "Database {{ $labels.database }} has used {{ $value | humanizePercentage }} of its room",
    action: "At its limit it takes no more events (log_full). Look whether snapshots succeed.",
  },
  {
    alert: "KeyframeQuarantined",
    expr: `sum by (operator) (${increased(ALL.events, '{outcome="quarantined"}', "15m")}) > 0`,
    severity: "ticket",
    summary: "The handler of {{ $labels.operator }} throws",
    action: "keyframe quarantine {{ $labels.operator }}",
  },
  {
    alert: "KeyframeCommitsSlow",
    expr: `histogram_quantile(0.99, sum by (operator, le) (rate(${ALL.commit.name}_bucket[10m]))) > 1`,
    for: "10m",
    severity: "ticket",
    summary: "One commit in a hundred of {{ $labels.operator }} takes {{ $value | humanizeDuration }}",
    action: "D1 is slow, or far away: keyframe doctor.",
  },
  {
    alert: "KeyframeSnapshotsFail",
    expr: `${increased(ALL.snapshotFailures, "", "1h")} > 2`,
    severity: "ticket",
    summary: "Snapshots of {{ $labels.operator }} {{ $labels.partition }} fail",
    action: "The log of the app says why (`snapshot failed`). Look at R2.",
  },
  {
    alert: "KeyframeTailLarge",
    expr: `${ALL.tailBytes.name} > 128e6`,
    severity: "page",
    summary:
      "{{ $labels.operator }} {{ $labels.partition }} has {{ $value | humanize }}B in the log, not yet in a snapshot",
    action: "Snapshots don't get through; at 256 MB it takes no more events.",
  },
  {
    alert: "KeyframeTailOld",
    expr: `${ALL.tailAge.name} > ${A_DAY_AND_AN_HOUR_SEC}`,
    severity: "ticket",
    summary: "{{ $labels.operator }} {{ $labels.partition }} has had no snapshot for {{ $value | humanizeDuration }}",
    action: "Alarms are lost, and the cron trigger that stands in for them doesn't run: look at the Worker's triggers.",
  },
  {
    alert: "KeyframeRecoverySlow",
    expr: `sum by (operator, partition) (${ALL.lastRecovery.name}) > ${target}`,
    severity: "ticket",
    summary: "The last recovery of {{ $labels.operator }} {{ $labels.partition }} took {{ $value | humanizeDuration }}",
    action: "Above the operator's target. keyframe status shows what an estimated recovery takes.",
  },
  {
    alert: "KeyframeEstimatedRecoverySlow",
    expr: `${ALL.estimated.name} / ${target} > 2`,
    for: "10m",
    severity: "ticket",
    summary: "Estimated recovery of {{ $labels.operator }} {{ $labels.partition }}: {{ $value | humanizeDuration }}",
    action: "Above twice the operator's target: snapshots don't get through, or the state is too large for the target.",
  },
  {
    alert: "KeyframeRecoveredByFallback",
    expr: `${increased(ALL.fallbacks, "", "1h")} > 0`,
    severity: "page",
    summary: "{{ $labels.operator }} {{ $labels.partition }} recovered past a corrupt snapshot",
    action: "docs/guides/corruption.md",
  },
  {
    alert: "KeyframeWritersFight",
    expr: `${increased(ALL.epochs, "", "10m")} > 30`,
    severity: "ticket",
    summary: "The right to write {{ $labels.operator }} {{ $labels.partition }} changes hands all the time",
    action: "Two deployments, or a gradual one, write the same partition: docs/guides/upgrading.md.",
  },
  {
    alert: "KeyframePartitionsOmitted",
    expr: `${ALL.omitted.name} > 0`,
    severity: "ticket",
    summary: "The scrape leaves out {{ $value }} partitions of {{ $labels.operator }}",
    action: "Scrape by parts: ?operator= and ?from= (docs/reference/operations.md).",
  },
];

/** Strings in JSON are strings in YAML. */
export function rulesYaml(): string {
  const rules = ALERTS.map(({ alert, expr, for: held, severity, summary, action }) =>
    [
      `      - alert: ${alert}`,
      `        expr: ${JSON.stringify(expr)}`,
      ...(held === undefined ? [] : [`        for: ${held}`]),
      `        labels:`,
      `          severity: ${severity}`,
      `        annotations:`,
      `          summary: ${JSON.stringify(summary)}`,
      `          action: ${JSON.stringify(action)}`,
    ].join("\n"),
  );
  return `# Made by \`npm run build:monitoring\` from the table of metrics.\ngroups:\n  - name: keyframe\n    rules:\n${rules.join("\n")}\n`;
}

interface Panel {
  readonly title: string;
  readonly unit: string;
  readonly targets: readonly (readonly [expr: string, legend: string])[];
}

const MINE = '{operator=~"$operator"}';
const counter = (family: Family, by = "operator", legend = `{{${by}}}`) =>
  [`sum by (${by}) (rate(${family.name}${MINE}[$__rate_interval]))`, legend] as const;
const gauge = (family: Family, how: "sum" | "max" = "sum", legend = "{{operator}}") =>
  [`${how} by (operator) (${family.name}${MINE})`, legend] as const;
const quantile = (family: Family, share: number) =>
  [
    `histogram_quantile(${share}, sum by (le) (rate(${family.name}_bucket${MINE}[$__rate_interval])))`,
    `p${share * 100}`,
  ] as const;
const panel = (title: string, unit: string, ...targets: Panel["targets"]): Panel => ({ title, unit, targets });

const SECTIONS: readonly (readonly [title: string, panels: readonly Panel[]])[] = [
  [
    "What is wrong",
    [
      panel("Databases that answer", "short", [ALL.up.name, "{{database}}"]),
      panel(
        "Operators that are lost, partitions left out",
        "short",
        gauge(ALL.lost, "max", "{{operator}}: lost"),
        gauge(ALL.omitted, "sum", "{{operator}}: left out"),
      ),
      panel("Events in quarantine", "short", gauge(ALL.quarantine)),
      panel("Failed snapshots", "short", counter(ALL.snapshotFailures)),
      panel("Corrupt snapshots passed over", "short", counter(ALL.fallbacks)),
      panel("Takings of the right to write", "short", counter(ALL.epochs)),
    ],
  ],
  [
    "Events",
    [
      panel("Events", "ops", counter(ALL.events, "outcome")),
      panel(
        "Calls and rows of the log",
        "ops",
        counter(ALL.calls, "operator", "{{operator}}: calls"),
        counter(ALL.segments, "operator", "{{operator}}: rows"),
      ),
      panel("Commit", "s", quantile(ALL.commit, 0.5), quantile(ALL.commit, 0.99)),
      panel("Events of a commit", "short", quantile(ALL.group, 0.5), quantile(ALL.group, 0.99)),
      panel("Events so far", "short", gauge(ALL.head)),
      panel("Keys", "short", gauge(ALL.keys)),
      panel("State", "bytes", gauge(ALL.state)),
      panel("Partitions", "short", gauge(ALL.partitions)),
    ],
  ],
  [
    "In the log, not yet in a snapshot",
    [
      panel("Events", "short", gauge(ALL.tailEvents)),
      panel("Bytes", "bytes", gauge(ALL.tailBytes)),
      panel("The oldest", "s", gauge(ALL.tailAge, "max")),
      panel(
        "Database, and where it takes no more",
        "bytes",
        [ALL.size.name, "{{database}}"],
        [ALL.limit.name, "{{database}}: limit"],
      ),
    ],
  ],
  [
    "Snapshots",
    [
      panel("Snapshots", "ops", counter(ALL.snapshots, "kind")),
      panel(
        "Bytes written",
        "Bps",
        counter(ALL.snapshotBytes, "kind"),
        counter(ALL.archiveBytes, "operator", "{{operator}}: archive"),
      ),
      panel("The oldest current one", "s", gauge(ALL.lastAge, "max")),
      panel("Time of a snapshot, the longest current one", "s", gauge(ALL.lastSeconds, "max")),
      panel("Share of time spent in snapshots", "percentunit", counter(ALL.snapshotSeconds)),
      panel("Size of the last file", "bytes", gauge(ALL.lastBytes, "max")),
      panel(
        "Manifest number, and when it was begun",
        "short",
        gauge(ALL.lastManifest, "max", "{{operator}}: number"),
        gauge(ALL.lastTime, "max", "{{operator}}: time"),
      ),
    ],
  ],
  [
    "Recovery",
    [
      panel(
        "Estimated recovery, the slowest, and the target",
        "s",
        gauge(ALL.estimated, "max"),
        gauge(ALL.target, "max", "{{operator}}: target"),
      ),
      panel("The last recovery, the slowest phase", "s", [
        `max by (phase) (${ALL.lastRecovery.name}${MINE})`,
        "{{phase}}",
      ]),
      panel(
        "Recoveries",
        "ops",
        counter(ALL.recoveries),
        counter(ALL.replayed, "operator", "{{operator}}: events replayed"),
      ),
      panel("Time in recoveries", "percentunit", counter(ALL.recoverySeconds, "phase")),
      panel("Who may write", "short", [`count by (code) (${ALL.writer.name}${MINE})`, "code {{code}}"]),
    ],
  ],
  [
    "Cost",
    [
      panel("Dollars a day at list price", "currencyUSD", [
        `sum by (meter) (rate(${ALL.dollars.name}${MINE}[$__rate_interval])) * 86400`,
        "{{meter}}",
      ]),
      panel(
        "D1",
        "ops",
        counter(ALL.d1Queries, "operator", "{{operator}}: statements"),
        counter(ALL.d1Read, "operator", "{{operator}}: rows read"),
        counter(ALL.d1Written, "operator", "{{operator}}: rows written"),
      ),
      panel("R2", "ops", counter(ALL.r2, "class"), counter(ALL.cache, "result", "cache: {{result}}")),
      panel(
        "The object",
        "ops",
        counter(ALL.wakes, "operator", "{{operator}}: alarms"),
        counter(ALL.timers, "operator", "{{operator}}: timers fired"),
        counter(ALL.ownWritten, "operator", "{{operator}}: own rows written"),
      ),
    ],
  ],
];

const DATASOURCE = { type: "prometheus", uid: "${datasource}" };
const [WIDTH, HEIGHT, COLUMNS] = [8, 7, 3];

function panelsJson(): unknown[] {
  const out: unknown[] = [];
  let y = 0;
  for (const [title, panels] of SECTIONS) {
    out.push({
      type: "row",
      title,
      collapsed: false,
      panels: [],
      id: out.length + 1,
      gridPos: { h: 1, w: 24, x: 0, y },
    });
    for (const [i, { title, unit, targets }] of panels.entries())
      out.push({
        type: "timeseries",
        title,
        id: out.length + 1,
        datasource: DATASOURCE,
        gridPos: { h: HEIGHT, w: WIDTH, x: (i % COLUMNS) * WIDTH, y: y + 1 + Math.floor(i / COLUMNS) * HEIGHT },
        fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
        targets: targets.map(([expr, legendFormat], at) => ({
          refId: String.fromCodePoint(65 + at),
          datasource: DATASOURCE,
          expr,
          legendFormat,
        })),
      });
    y += 1 + Math.ceil(panels.length / COLUMNS) * HEIGHT;
  }
  return out;
}

export const dashboardJson = (): string =>
  JSON.stringify({
    title: "Keyframe",
    uid: "keyframe",
    schemaVersion: 39,
    tags: ["keyframe"],
    time: { from: "now-6h", to: "now" },
    refresh: "30s",
    templating: {
      list: [
        { name: "datasource", type: "datasource", query: "prometheus" },
        {
          name: "operator",
          type: "query",
          datasource: DATASOURCE,
          query: `label_values(${ALL.partitions.name}, operator)`,
          includeAll: true,
          multi: true,
          refresh: 2,
        },
      ],
    },
    panels: panelsJson(),
  });

/** File name -> text, as the repository formats it. */
export async function monitoringFiles(): Promise<Readonly<Record<string, string>>> {
  const options = { printWidth: 120 };
  return {
    "grafana-dashboard.json": await format(dashboardJson(), { ...options, parser: "json" }),
    "prometheus-rules.yml": await format(rulesYaml(), { ...options, parser: "yaml" }),
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  mkdirSync(MONITORING_DIR, { recursive: true });
  for (const [name, text] of Object.entries(await monitoringFiles())) writeFileSync(join(MONITORING_DIR, name), text);
}
