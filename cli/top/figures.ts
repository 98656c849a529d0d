/** What `esc top` shows, as plain numbers: also what `esc top --json` prints. Pure. */
import type { LiveState } from "../../src/api/live-state.ts";
import type { LiveAlert } from "../../src/dashboard/live/alerts.ts";
import type { Hello } from "../../src/dashboard/live/source.ts";
import { type Cell, gauge, lanesOf, newest, rate, type Timeline } from "../../src/dashboard/live/timeline.ts";
import { samplesOf } from "./scrape.ts";

/** One round of questions beside the live stream. What was not answered is absent. */
export interface Poll {
  readonly atMs: number;
  readonly metrics?: string;
  readonly topics?: { readonly topics: readonly TopicAnswer[]; readonly total: number };
  readonly consumers?: { readonly consumers: readonly ConsumerAnswer[] };
  readonly alerts?: { readonly alerts: readonly LiveAlert[] };
  /** Why something is absent, by what it is. */
  readonly missing: Readonly<Record<string, string>>;
}

interface TopicAnswer {
  readonly topic: string;
  readonly lane: string;
  readonly events: number;
  readonly last_received_us: number;
}

interface ConsumerAnswer {
  readonly name: string;
  readonly lag: number;
  readonly standing: string;
}

export interface LaneFigures {
  readonly lane: string;
  readonly state: string;
  readonly accepted_per_s: Cell;
  readonly durable_per_s: Cell;
  readonly processed_per_s: Cell;
  readonly dropped_per_s: Cell;
  readonly depth_bytes: Cell;
  readonly capacity_bytes: Cell;
  readonly not_durable: Cell;
  readonly append_p50_us: Cell;
  readonly append_p99_us: Cell;
  readonly ack_p99_us: Cell;
  readonly process_p99_us: Cell;
  readonly deliver_p99_us: Cell;
  /** Accepted events a second, the last minute. */
  readonly recent: readonly Cell[];
}

export interface Figures {
  readonly version: string;
  readonly started_ms: number;
  readonly at_ms: number;
  readonly pipeline: string;
  readonly health: string;
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly received_per_s: Cell;
  readonly delivered_per_s: Cell;
  readonly rejected_per_s: Cell;
  readonly connections: Cell;
  readonly connections_paused: Cell;
  readonly subscribers: Cell;
  readonly resident_bytes: Cell;
  readonly log_bytes: Cell;
  readonly dead_letters: Cell;
  readonly lanes: readonly LaneFigures[];
  readonly listeners: readonly {
    readonly listener: string;
    readonly received_per_s: Cell;
    readonly connections: number;
  }[];
  /** Furthest behind first. */
  readonly consumers: readonly {
    readonly name: string;
    readonly lag: number;
    readonly lag_per_s: Cell;
    readonly standing: string;
  }[];
  /** Busiest first. */
  readonly topics: readonly {
    readonly topic: string;
    readonly lane: string;
    readonly events: number;
    readonly per_s: Cell;
  }[];
  readonly topics_total: number;
  /** Newest first. */
  readonly alerts: readonly LiveAlert[];
  readonly threads: readonly { readonly thread: string; readonly cpu: Cell }[];
  readonly missing: Readonly<Record<string, string>>;
}

/** What has come from the server so far. */
export interface Seen {
  readonly hello: Hello;
  readonly state: LiveState;
  readonly timeline: Timeline;
  readonly alerts: readonly LiveAlert[];
  /** The newest two answers: rates are what lies between. */
  readonly polls: readonly Poll[];
}

const RECENT_COUNT = 60;
/** Figures of this many seconds are looked through for a latency: most seconds of a quiet lane have none. */
const LATENCY_LOOKS = 5;

export function figuresOf({ hello, state, timeline, alerts, polls }: Seen): Figures {
  const last = (cells: readonly Cell[]) => cells.at(-1) ?? null;
  const now = polls.at(-1);
  const before = polls.at(-2);
  return {
    version: hello.version,
    started_ms: hello.started_ms,
    at_ms: newest(timeline, "time") ?? 0,
    pipeline: state.pipeline,
    health: state.health,
    ready: state.ready,
    reasons: state.reasons,
    received_per_s: last(rate(timeline, "received")),
    delivered_per_s: last(rate(timeline, "delivered")),
    rejected_per_s: last(rate(timeline, "rejected")),
    connections: newest(timeline, "connections"),
    connections_paused: newest(timeline, "connections_paused"),
    subscribers: newest(timeline, "subscribers"),
    resident_bytes: newest(timeline, "resident_bytes"),
    log_bytes: newest(timeline, "log_bytes"),
    dead_letters: newest(timeline, "dead_letters"),
    lanes: lanesOf(timeline).map((lane) => laneFigures(timeline, lane, state.lanes[lane] ?? "unknown")),
    listeners: listenersOf(now, before),
    consumers: (now?.consumers?.consumers ?? []).map(({ name, lag, standing }) => ({
      name,
      lag,
      lag_per_s: perSecond(
        lag,
        before?.consumers?.consumers.find((it) => it.name === name)?.lag,
        now,
        before,
      ),
      standing,
    })).sort((a, b) => b.lag - a.lag),
    topics: topicsOf(now, before),
    topics_total: now?.topics?.total ?? 0,
    alerts,
    threads: threadsOf(now, before),
    missing: now?.missing ?? {},
  };
}

function laneFigures(timeline: Timeline, lane: string, state: string): LaneFigures {
  const accepted = rate(timeline, "accepted", lane);
  const perS = (name: string) => rate(timeline, name, lane).at(-1) ?? null;
  const now = (name: string) => newest(timeline, name, lane);
  const latency = (name: string) =>
    gauge(timeline, name, lane).slice(-LATENCY_LOOKS).findLast((cell) => cell !== null) ?? null;
  return {
    lane,
    state,
    accepted_per_s: accepted.at(-1) ?? null,
    durable_per_s: perS("durable"),
    processed_per_s: perS("processed"),
    dropped_per_s: perS("dropped"),
    depth_bytes: now("depth"),
    capacity_bytes: now("capacity"),
    not_durable: now("not_durable"),
    append_p50_us: latency("append_p50"),
    append_p99_us: latency("append_p99"),
    ack_p99_us: latency("ack_p99"),
    process_p99_us: latency("process_p99"),
    deliver_p99_us: latency("deliver_p99"),
    recent: accepted.slice(-RECENT_COUNT),
  };
}

function listenersOf(now: Poll | undefined, before: Poll | undefined): Figures["listeners"] {
  const received = samplesOf(now?.metrics ?? "", "esc_events_received_total");
  const earlier = samplesOf(before?.metrics ?? "", "esc_events_received_total");
  const connections = samplesOf(now?.metrics ?? "", "esc_connections");
  const valueOf = (samples: typeof received, listener: string | undefined) =>
    samples.find(({ labels }) => labels["listener"] === listener)?.value;
  return received.map(({ labels: { listener = "" }, value }) => ({
    listener,
    received_per_s: growth(value, valueOf(earlier, listener), now, before),
    connections: valueOf(connections, listener) ?? 0,
  }));
}

function topicsOf(now: Poll | undefined, before: Poll | undefined): Figures["topics"] {
  const earlier = new Map(before?.topics?.topics.map(({ topic, events }) => [topic, events]));
  return (now?.topics?.topics ?? []).map(({ topic, lane, events }) => ({
    topic,
    lane,
    events,
    per_s: growth(events, earlier.get(topic), now, before),
  })).sort((a, b) => (b.per_s ?? 0) - (a.per_s ?? 0) || b.events - a.events);
}

function threadsOf(now: Poll | undefined, before: Poll | undefined): Figures["threads"] {
  const cpuOf = (poll: Poll | undefined) => samplesOf(poll?.metrics ?? "", "esc_thread_cpu_seconds_total");
  const earlier = new Map(cpuOf(before).map(({ labels, value }) => [labels["tid"], value]));
  return cpuOf(now).map(({ labels, value }) => ({
    thread: labels["thread"] ?? "",
    cpu: growth(value, earlier.get(labels["tid"]), now, before),
  })).sort((a, b) => (b.cpu ?? 0) - (a.cpu ?? 0));
}

/** Of a counter, which begins anew with its server. */
function growth(value: number, earlier: number | undefined, now: Poll | undefined, before: Poll | undefined) {
  return earlier === undefined || value < earlier ? null : perSecond(value, earlier, now, before);
}

/** `null` without an earlier value. A lag may shrink: the result may be negative. */
function perSecond(
  value: number,
  earlier: number | undefined,
  now: Poll | undefined,
  before: Poll | undefined,
): Cell {
  if (earlier === undefined || now === undefined || before === undefined) return null;
  return ((value - earlier) * 1000) / Math.max(1, now.atMs - before.atMs);
}
