/** `esc top` as lines: figures, what was chosen and the size of the terminal in, lines out. Pure. */
import type { Connection } from "./feed.ts";
import type { Figures, LaneFigures } from "./figures.ts";
import { PANES, type View } from "./keys.ts";
import {
  type Column,
  type Line,
  line,
  type Segment,
  short,
  shortTime,
  sparkline,
  type Style,
  table,
} from "./lines.ts";

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** What is shown beside the figures. */
export interface Moment {
  readonly connection: Connection;
  readonly address: string;
  readonly nowMs: number;
}

type Cell = number | null;

const HEALTH_STYLES: Readonly<Record<string, Style>> = {
  HEALTHY: "green",
  ELEVATED: "yellow",
  DEGRADED: "yellow",
  CRITICAL: "red",
  EMERGENCY: "red",
};
const SEVERITY_STYLES: Readonly<Record<string, Style>> = {
  WARNING: "yellow",
  CRITICAL: "red",
  EMERGENCY: "red",
};
/** Share of a queue from which it is worth a look, and from which it is a trouble. */
const DEPTH_WARN = 0.5;
const DEPTH_BAD = 0.75;
const REASONS_MAX = 3;

/** All of the screen: at most `size.rows` lines; to be rendered at most `size.columns` wide. */
export function screenOf(figures: Figures | undefined, view: View, moment: Moment, size: Size): Line[] {
  const head = [title(figures, view, moment), ...(figures === undefined ? [] : headOf(figures, size))];
  const foot = footOf(view, moment);
  const room = Math.max(0, size.rows - head.length - 2);
  const body = figures === undefined ? [] : paneOf(figures, view, { columns: size.columns, rows: room });
  const filled = Array.from({ length: room }, (_, index): Line => body[index] ?? []);
  return [...head, tabsOf(view), ...filled, foot].slice(0, size.rows);
}

/** Everything one below the other, for a file or a pipe. */
export function pageOf(figures: Figures, moment: Moment, columns: number): Line[] {
  const size = { columns, rows: Infinity };
  return [
    title(figures, undefined, moment),
    ...headOf(figures, size),
    [],
    ...lanesOf(figures, columns),
    [],
    ...machineryOf(figures, columns),
    [],
    ...topicsOf(figures, "", columns),
    [],
    ...consumersOf(figures, "", columns),
    [],
    ...alertsOf(figures, columns),
  ];
}

function title(
  figures: Figures | undefined,
  view: View | undefined,
  { connection, address, nowMs }: Moment,
): Line {
  const name: Segment = { text: `esc top ${address}  `, style: "bold" };
  const paused: Line = view?.isPaused ? [{ text: "PAUSED  ", style: "yellow" }] : [];
  if (!connection.isLive) {
    const seconds = Math.round((nowMs - connection.sinceMs) / 1000);
    return [name, ...paused, {
      text: `DISCONNECTED for ${seconds} s, trying again: ${connection.reason}`,
      style: "red",
    }];
  }
  if (figures === undefined) return [name, { text: "connecting" }];
  const up = duration((figures.at_ms - figures.started_ms) / 1000);
  return [
    name,
    ...paused,
    { text: figures.health, style: HEALTH_STYLES[figures.health] },
    { text: `  ${figures.pipeline}${figures.ready ? "" : ", not ready"}  up ${up}  v${figures.version}` },
  ];
}

function headOf(figures: Figures, size: Size): Line[] {
  const { received_per_s, rejected_per_s, delivered_per_s, connections, subscribers } = figures;
  const wide: Segment[] = [
    { text: `  memory ${bytes(figures.resident_bytes)}  log ${bytes(figures.log_bytes)}` },
    { text: `  dead letters ${short(figures.dead_letters)}` },
  ];
  const reasons = figures.reasons.slice(0, size.rows < 40 ? REASONS_MAX : 2 * REASONS_MAX);
  const more = figures.reasons.length - reasons.length;
  return [
    [
      {
        text: `in ${short(received_per_s)}/s  refused ${short(rejected_per_s)}/s  out ${
          short(delivered_per_s)
        }/s`,
      },
      { text: `  connections ${short(connections)}  subscribers ${short(subscribers)}` },
      ...(size.columns >= 120 ? wide : []),
    ],
    ...reasons.map((reason, index) =>
      line(`! ${reason}${index === reasons.length - 1 && more > 0 ? ` (and ${more} more)` : ""}`, "yellow")
    ),
  ];
}

function tabsOf({ pane, filter, isTyping }: View): Line {
  const tabs = PANES.flatMap((name, index): Segment[] => [
    name === pane
      ? { text: `[${index + 1} ${name}]`, style: "bold" }
      : { text: ` ${index + 1} ${name} `, style: "dim" },
    { text: " " },
  ]);
  const shown = isTyping ? ` filter: ${filter}_` : filter === "" ? "" : ` filter: ${filter} (esc clears)`;
  return [...tabs, { text: shown, style: "cyan" }];
}

function footOf({ isTyping }: View, { connection }: Moment): Line {
  if (isTyping) return line("type a part of a name   enter keeps it   esc clears it", "dim");
  const stale = connection.isLive ? "" : "   (old figures)";
  return line(`q quit   p pause   / filter   tab or 1-4 panes   arrows scroll${stale}`, "dim");
}

function paneOf(figures: Figures, view: View, { columns, rows }: Size): Line[] {
  switch (view.pane) {
    case "overview":
      return overview(figures, { columns, rows });
    case "topics":
      return scrolled(topicsOf(figures, view.filter, columns), view.skipped, rows);
    case "consumers":
      return scrolled(consumersOf(figures, view.filter, columns), view.skipped, rows);
    case "alerts":
      return scrolled(alertsOf(figures, columns), view.skipped, rows);
  }
}

/** Lanes first; then what is worst in each of the other panes, as far as there is room. */
function overview(figures: Figures, { columns, rows }: Size): Line[] {
  const lanes = lanesOf(figures, columns);
  const room = Math.max(0, rows - lanes.length - 1);
  const rest = machineryOf(figures, columns);
  const behind = figures.consumers.filter(({ lag }) => lag > 0);
  const slow = behind.length === 0
    ? []
    : [[], ...consumersOf({ ...figures, consumers: behind }, "", columns).slice(0, 4)];
  const alerts = figures.alerts.length === 0
    ? []
    : [[], ...alertsOf(figures, columns).slice(0, rows < 30 ? 3 : 8)];
  const below = Math.min(slow.length + alerts.length, Math.floor(room / 2));
  return [...lanes, [], ...rest.slice(0, room - below), ...[...slow, ...alerts].slice(0, below)];
}

/** The head stays, the rows move. */
function scrolled([head = [], ...rows]: Line[], skipped: number, room: number): Line[] {
  const first = Math.min(skipped, Math.max(0, rows.length - (room - 1)));
  return [head, ...rows.slice(first)].slice(0, room);
}

const LANE_COLUMNS: readonly Column<LaneFigures>[] = [
  { head: "LANE", rank: 0, cell: ({ lane }) => ({ text: lane, style: "bold" }) },
  {
    head: "STATE",
    width: 8,
    rank: 1,
    cell: ({ state }) => state === "running" ? state : { text: state, style: "red" },
  },
  { head: "IN/S", width: 6, isNumber: true, rank: 0, cell: (lane) => short(lane.accepted_per_s) },
  { head: "DURABL", width: 6, isNumber: true, rank: 4, cell: (lane) => short(lane.durable_per_s) },
  { head: "DONE/S", width: 6, isNumber: true, rank: 3, cell: (lane) => short(lane.processed_per_s) },
  {
    head: "DROP/S",
    width: 6,
    isNumber: true,
    rank: 1,
    cell: (lane) => warn(short(lane.dropped_per_s), (lane.dropped_per_s ?? 0) > 0),
  },
  { head: "QUEUE", width: 5, isNumber: true, rank: 0, cell: depth },
  { head: "P50", width: 6, isNumber: true, rank: 2, cell: (lane) => shortTime(lane.append_p50_us) },
  { head: "P99", width: 6, isNumber: true, rank: 0, cell: (lane) => shortTime(lane.append_p99_us) },
  { head: "ACK P99", width: 7, isNumber: true, rank: 6, cell: (lane) => shortTime(lane.ack_p99_us) },
  { head: "PROC P99", width: 8, isNumber: true, rank: 7, cell: (lane) => shortTime(lane.process_p99_us) },
  { head: "DELIV P99", width: 9, isNumber: true, rank: 8, cell: (lane) => shortTime(lane.deliver_p99_us) },
  {
    head: "LAST MINUTE",
    width: 60,
    rank: 9,
    cell: ({ recent }) => ({ text: sparkline(recent, 60), style: "cyan" }),
  },
];

function lanesOf({ lanes }: Figures, columns: number): Line[] {
  return table(LANE_COLUMNS, lanes, columns);
}

/** Listeners and threads, side by side. */
function machineryOf({ listeners, threads }: Figures, columns: number): Line[] {
  const half = Math.max(0, Math.floor((columns - 4) / 2));
  const left = table<Figures["listeners"][number]>(
    [
      { head: "LISTENER", rank: 0, cell: ({ listener }) => listener },
      { head: "IN/S", width: 6, isNumber: true, rank: 0, cell: (it) => short(it.received_per_s) },
      { head: "OPEN", width: 6, isNumber: true, rank: 0, cell: (it) => short(it.connections) },
    ],
    [...listeners].sort((a, b) => (b.received_per_s ?? 0) - (a.received_per_s ?? 0)),
    half,
  );
  const right = table<Figures["threads"][number]>(
    [
      { head: "THREAD", rank: 0, cell: ({ thread }) => thread },
      {
        head: "CPU",
        width: 6,
        isNumber: true,
        rank: 0,
        cell: ({ cpu }) => warn(percent(cpu), (cpu ?? 0) > 0.95),
      },
    ],
    threads,
    half,
  );
  return Array.from({ length: Math.max(left.length, right.length) }, (_, index): Line => [
    ...(left[index] ?? [{ text: " ".repeat(half) }]),
    { text: "    " },
    ...(right[index] ?? []),
  ]);
}

function topicsOf({ topics, topics_total, missing }: Figures, filter: string, columns: number): Line[] {
  if (missing["topics"] !== undefined) return [line(missing["topics"], "dim")];
  const shown = topics.filter(({ topic }) => topic.includes(filter));
  const lines = table<Figures["topics"][number]>(
    [
      { head: `TOPIC (${shown.length} of ${topics_total})`, rank: 0, cell: ({ topic }) => topic },
      { head: "LANE", width: 14, rank: 1, cell: ({ lane }) => lane },
      { head: "IN/S", width: 6, isNumber: true, rank: 0, cell: ({ per_s }) => short(per_s) },
      { head: "EVENTS", width: 8, isNumber: true, rank: 2, cell: ({ events }) => short(events) },
    ],
    shown,
    columns,
  );
  return shown.length > 0
    ? lines
    : [...lines, line(filter === "" ? "no topic yet" : "no topic has this in its name", "dim")];
}

function consumersOf({ consumers, missing }: Figures, filter: string, columns: number): Line[] {
  if (missing["consumers"] !== undefined) return [line(missing["consumers"], "dim")];
  const shown = consumers.filter(({ name }) => name.includes(filter));
  const lines = table<Figures["consumers"][number]>(
    [
      { head: "CONSUMER", rank: 0, cell: ({ name }) => name },
      { head: "LAG", width: 6, isNumber: true, rank: 0, cell: ({ lag }) => warn(short(lag), lag > 0) },
      { head: "LAG/S", width: 7, isNumber: true, rank: 1, cell: ({ lag_per_s }) => signed(lag_per_s) },
      { head: "STANDING", rank: 2, cell: ({ standing }) => standing },
    ],
    shown,
    columns,
  );
  return shown.length > 0 ? lines : [...lines, line("no durable consumer", "dim")];
}

function alertsOf({ alerts, missing }: Figures, columns: number): Line[] {
  if (missing["alerts"] !== undefined && alerts.length === 0) return [line(missing["alerts"], "dim")];
  const lines = table<Figures["alerts"][number]>(
    [
      {
        head: "RAISED",
        width: 8,
        rank: 0,
        cell: ({ raised_us }) => new Date(raised_us / 1000).toISOString().slice(11, 19),
      },
      {
        head: "SEVERITY",
        width: 9,
        rank: 0,
        cell: ({ severity }) => ({ text: severity, style: SEVERITY_STYLES[severity] }),
      },
      { head: "RULE", width: 16, rank: 2, cell: ({ rule }) => rule },
      { head: "MESSAGE", rank: 0, cell: ({ message }) => message },
    ],
    alerts,
    columns,
  );
  return alerts.length > 0 ? lines : [...lines, line("no alert", "dim")];
}

function depth({ depth_bytes, capacity_bytes }: LaneFigures): Segment {
  const share = (depth_bytes ?? 0) / Math.max(1, capacity_bytes ?? 1);
  return {
    text: percent(share),
    style: share >= DEPTH_BAD ? "red" : share >= DEPTH_WARN ? "yellow" : undefined,
  };
}

function warn(text: string, isBad: boolean): Segment {
  return { text, style: isBad ? "red" : undefined };
}

function percent(share: Cell): string {
  return share === null ? "-" : `${Math.round(share * 100)}%`;
}

function signed(value: Cell): string {
  if (value === null) return "-";
  return value < 0 ? `-${short(-value)}` : value > 0 ? `+${short(value)}` : "0";
}

function bytes(value: Cell): string {
  return value === null ? "-" : `${short(value)}B`;
}

function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${whole % 60}s`;
  return whole < 86_400
    ? `${Math.floor(whole / 3600)}h${Math.floor((whole % 3600) / 60)}m`
    : `${Math.floor(whole / 86_400)}d${Math.floor((whole % 86_400) / 3600)}h`;
}
