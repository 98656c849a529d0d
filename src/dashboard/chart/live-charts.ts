/** What the charts of the overview show of a timeline. */
import { gauge, lanesOf, rate, sum, type Timeline, times } from "../live/timeline.ts";
import type { ChartData, Series } from "./chart-data.ts";

/** Stages of an event's way; each is measured from its reception, so a later one holds the earlier ones. */
export const LATENCY_STAGES = [
  { id: "append", label: "until durable" },
  { id: "queue", label: "in the queue" },
  { id: "process", label: "until processed" },
  { id: "ack", label: "until acknowledged" },
  { id: "deliver", label: "until delivered" },
] as const;

export const PERCENTILES = [
  { id: "p50", label: "median" },
  { id: "p99", label: "99 %" },
  { id: "p999", label: "99.9 %" },
] as const;

export function rateChart(timeline: Timeline, lanes: readonly string[], counter: string): ChartData {
  const series = perLane(timeline, lanes, (lane) => rate(timeline, counter, lane));
  return { id: `rate-${counter}`, title: "Events by lane", unit: "events/s", times: times(timeline), series };
}

export function latencyChart(
  timeline: Timeline,
  lanes: readonly string[],
  stage: string,
  percentile: string,
): ChartData {
  const series = perLane(timeline, lanes, (lane) => gauge(timeline, `${stage}_${percentile}`, lane));
  return {
    id: `latency-${stage}-${percentile}`,
    title: "Latency",
    unit: "us",
    times: times(timeline),
    series,
  };
}

export function depthChart(timeline: Timeline, lanes: readonly string[]): ChartData {
  const series = perLane(timeline, lanes, (lane) => {
    const capacity = gauge(timeline, "capacity", lane);
    return gauge(timeline, "depth", lane).map((depth, index) => {
      const room = capacity[index] ?? null;
      return depth === null || room === null || room === 0 ? null : (depth / room) * 100;
    });
  });
  return { id: "queues", title: "Queues filled", unit: "%", times: times(timeline), series };
}

/** What did not go the way it should. */
export function lossChart(timeline: Timeline, lanes: readonly string[]): ChartData {
  const series: Series[] = [
    { label: "dropped", values: sum(lanes.map((lane) => rate(timeline, "dropped", lane))), color: 4 },
    { label: "rejected", values: rate(timeline, "rejected"), color: 2 },
    { label: "dead letters", values: rate(timeline, "dead_letters"), color: 3 },
  ];
  return { id: "losses", title: "Dropped, rejected, dead", unit: "events/s", times: times(timeline), series };
}

/** In and out of the server. */
export function flowChart(timeline: Timeline): ChartData {
  const series: Series[] = [
    { label: "received", values: rate(timeline, "received"), color: 0 },
    { label: "delivered", values: rate(timeline, "delivered"), color: 1 },
  ];
  return { id: "flow", title: "Received and delivered", unit: "events/s", times: times(timeline), series };
}

/** A lane has its colour by its place among all lanes, whichever are shown. */
function perLane(
  timeline: Timeline,
  lanes: readonly string[],
  values: (lane: string) => Series["values"],
): Series[] {
  const all = lanesOf(timeline);
  return lanes.map((lane) => ({ label: lane, values: values(lane), color: all.indexOf(lane) }));
}
