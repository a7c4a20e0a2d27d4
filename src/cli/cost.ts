/** `keyframe cost`: the cost of a policy at a load, without the app. The arithmetic is in cost/cost.ts. */
import { InvalidArgumentError } from "commander";
import { billOf, MONTH_SECONDS, type Bill, type Load } from "../cost/cost.ts";
import { DOLLARS_PER_GB_MONTH, DOLLARS_PER_MILLION, PRICES_SOURCE, SUBSCRIPTION_DOLLARS } from "../cost/prices.ts";
import { examples, YES, type AddCommand } from "./command.ts";
import { durationMs } from "../engine/operator/settings.ts";
import { table } from "./text.ts";

interface Options {
  readonly rate: number;
  readonly batch: number;
  readonly partitions: number;
  readonly eventBytes: number;
  readonly commit: number;
  readonly every: number;
  readonly maxTail: number;
  readonly recovery: number;
  readonly retain: number;
  readonly state: number;
  readonly changed?: number;
  readonly json?: true;
  readonly page?: true;
}

export const costCommand: AddCommand = (program, cli, done) => {
  program
    .command("cost")
    .description("Estimate what a load costs a month, at list price")
    .option("--rate <events>", "events per second", positive, 100)
    .option("--batch <events>", "events of one request", positive, 1)
    .option("--partitions <n>", "partitions of the operator", whole, 1)
    .option("--event-bytes <bytes>", "size of an event", positive, 200)
    .option("--commit <time>", "duration of a commit in D1", time, 20)
    .option("--every <time>", "snapshot: every", time, 300_000)
    .option("--max-tail <bytes>", "snapshot: maxTailBytes", positive, 4_000_000)
    .option("--recovery <time>", "snapshot: recovery", time, 1_000)
    .option("--retain <time>", "snapshot: retain", time, 7 * 86_400_000)
    .option("--state <bytes>", "all states, as JSON", positive, 10_000_000)
    .option(
      "--changed <bytes>",
      "bytes of state that change between two snapshots (default: a tenth of --state)",
      positive,
    )
    .option("--page", "the table of docs/reference/costs.md: 1, 100 and 10,000 events per second, single and batched")
    .option("--json", "one JSON object per line")
    .addHelpText(
      "after",
      examples("keyframe cost --rate 100 --batch 100", "keyframe cost --rate 10000 --partitions 20 --every 1m --json"),
    )
    .action(async (options: Options) => {
      const loads = options.page ? pageLoads(options) : [loadOf(options)];
      const bills = loads.map((load) => ({ load, bill: billOf(load) }));
      const { screen } = cli;
      if (options.json) for (const { load, bill } of bills) await screen.print(JSON.stringify({ load, ...bill }));
      else if (options.page) for (const line of page(bills)) await screen.print(line);
      else {
        for (const line of shown(bills[0]!.bill, screen.paint)) await screen.print(line);
        for (const warning of bills[0]!.bill.warnings) screen.say(`note: ${warning}`);
        screen.say(`prices: ${PRICES_SOURCE}`);
      }
      done(YES);
    });
};

function positive(text: string): number {
  const n = Number(text);
  if (!/^[\d.e+]+$/.test(text) || !Number.isFinite(n) || n <= 0 || n > 1e15)
    throw new InvalidArgumentError("it must be a number above 0.");
  return n;
}

function whole(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError("it must be a whole number above 0.");
  return Number(text);
}

function time(text: string): number {
  return durationMs(text, "it", (why) => {
    throw new InvalidArgumentError(why);
  });
}

const loadOf = (options: Options): Load => ({
  eventsPerSecond: options.rate,
  batch: options.batch,
  partitions: options.partitions,
  eventBytes: options.eventBytes,
  commitMs: options.commit,
  snapshot: { everyMs: options.every, maxTailBytes: options.maxTail, recoveryMs: options.recovery },
  retainMs: options.retain,
  stateBytes: options.state,
  changedBytes: options.changed ?? options.state / 10,
});

/** Events per second, batch, partitions. */
const PAGE: readonly (readonly [number, number, number])[] = [
  [1, 1, 1],
  [1, 100, 1],
  [100, 1, 1],
  [100, 100, 1],
  [10_000, 1, 20],
  [10_000, 100, 4],
  [10_000, 1_000, 4],
];
const pageLoads = (options: Options): Load[] =>
  PAGE.map(([eventsPerSecond, batch, partitions]) => ({ ...loadOf(options), eventsPerSecond, batch, partitions }));

const NAMES: Readonly<Record<Bill["lines"][number]["meter"], string>> = {
  workerRequests: "Worker requests",
  workerCpuMs: "Worker CPU, ms",
  objectRequests: "object requests",
  objectGbSeconds: "object awake, GB-s",
  objectRowsRead: "object rows read",
  objectRowsWritten: "object rows written",
  d1RowsRead: "D1 rows read",
  d1RowsWritten: "D1 rows written",
  r2ClassA: "R2 class A",
  r2ClassB: "R2 class B",
  d1Gb: "D1 storage, GB",
  r2Gb: "R2 storage, GB",
};

const priceOf = (meter: Bill["lines"][number]["meter"]): string =>
  meter === "d1Gb"
    ? `${DOLLARS_PER_GB_MONTH.d1}/GB`
    : meter === "r2Gb"
      ? `${DOLLARS_PER_GB_MONTH.r2}/GB`
      : `${DOLLARS_PER_MILLION[meter]}/M`;

function shown(
  { lines, dollars, beyond, dollarsPerMillion, steps }: Bill,
  paint: Parameters<typeof table>[2],
): string[] {
  const rows = lines.map(({ meter, estimate, amount, ...line }) => [
    `${NAMES[meter]}${estimate ? " (estimate)" : ""}`,
    amountText(amount),
    priceOf(meter),
    money(line.dollars),
    money(line.beyond),
  ]);
  return [
    ...table(
      ["A MONTH", ">AMOUNT", ">$", ">LIST $", ">BEYOND INCLUDED $"],
      [...rows, ["sum", "", "", money(dollars), money(beyond)]],
      paint,
    ),
    "",
    `${money(dollarsPerMillion)} dollars for a million events; with the subscription ${money(beyond + SUBSCRIPTION_DOLLARS)} a month, if nothing else uses what it includes`,
    `${perSecond(steps.groups)} commits and ${perSecond(steps.openings)} openings a second, ${amountText(steps.snapshots)} snapshots a month`,
  ];
}

/** For docs/reference/costs.md. */
function page(bills: readonly { readonly load: Load; readonly bill: Bill }[]): string[] {
  const head =
    "events/s,batch,partitions,commits/s,openings/s,snapshots/month,D1 rows written,R2 class A,requests,$ a month,beyond included,$ per million events";
  const rows = bills.map(({ load, bill }) => {
    const amount = (meter: string): number => bill.lines.find((line) => line.meter === meter)?.amount ?? 0;
    const { groups, openings, snapshots } = bill.steps;
    return [
      load.eventsPerSecond.toLocaleString("en-US"),
      load.batch.toLocaleString("en-US"),
      String(load.partitions),
      perSecond(groups),
      perSecond(openings),
      amountText(snapshots),
      amountText(amount("d1RowsWritten")),
      amountText(amount("r2ClassA")),
      amountText(amount("workerRequests") + amount("objectRequests")),
      money(bill.dollars),
      money(bill.beyond),
      money(bill.dollarsPerMillion),
    ];
  });
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const columns = head.split(",");
  return [line(columns), line(columns.map(() => "--:")), ...rows.map(line)];
}

function amountText(n: number): string {
  if (n >= 1e9) return `${(n / 1e9).toPrecision(3)} G`;
  if (n >= 1e6) return `${(n / 1e6).toPrecision(3)} M`;
  return n >= 100 ? Math.round(n).toLocaleString("en-US") : String(Number(n.toPrecision(2)));
}
const money = (n: number): string =>
  n >= 100 ? Math.round(n).toLocaleString("en-US") : n >= 1 ? n.toFixed(2) : String(Number(n.toPrecision(2)));
const perSecond = (perMonth: number): string =>
  perMonth < 1 ? "0" : String(Number((perMonth / MONTH_SECONDS).toPrecision(2)));
