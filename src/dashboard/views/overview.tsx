/** In ten seconds: is it well, if not why, and how much goes through. */
import { useSignal } from "@preact/signals";
import { Chart } from "../chart/chart.tsx";
import {
  depthChart,
  flowChart,
  LATENCY_STAGES,
  latencyChart,
  lossChart,
  PERCENTILES,
  rateChart,
} from "../chart/live-charts.ts";
import { seriesColor } from "../chart/palette.ts";
import { hiddenLanes, shown, toggleLane } from "../live/source.ts";
import { lanesOf } from "../live/timeline.ts";
import { theme } from "../theme.ts";
import { Figures } from "./figures.tsx";
import { HealthCard } from "./health-card.tsx";
import { LaneTable } from "./lane-table.tsx";
import { RecentAlerts } from "./recent-alerts.tsx";

export function OverviewView() {
  const stage = useSignal("append");
  const percentile = useSignal("p99");
  const counter = useSignal("accepted");
  const timeline = shown.value;
  const lanes = lanesOf(timeline);
  const seen = lanes.filter((lane) => !hiddenLanes.value.has(lane));
  return (
    <>
      <div class="overview-head">
        <HealthCard />
        <Figures timeline={timeline} />
      </div>
      <LaneTable timeline={timeline} />
      <div class="chips" role="group" aria-label="Lanes in the charts">
        {lanes.map((lane, index) => (
          <button
            type="button"
            key={lane}
            class="chip"
            aria-pressed={!hiddenLanes.value.has(lane)}
            onClick={() => toggleLane(lane)}
          >
            <i style={{ background: seriesColor(theme.value, index) }} />
            {lane}
          </button>
        ))}
      </div>
      <div class="charts">
        <Chart data={rateChart(timeline, seen, counter.value)}>
          <select
            aria-label="What is counted"
            value={counter.value}
            onChange={(event) => counter.value = event.currentTarget.value}
          >
            {["accepted", "durable", "processed", "duplicates"].map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </Chart>
        <Chart data={latencyChart(timeline, seen, stage.value, percentile.value)}>
          <select
            aria-label="Stage"
            value={stage.value}
            onChange={(event) => stage.value = event.currentTarget.value}
          >
            {LATENCY_STAGES.map(({ id, label }) => <option key={id} value={id}>{label}</option>)}
          </select>
          <select
            aria-label="Percentile"
            value={percentile.value}
            onChange={(event) => percentile.value = event.currentTarget.value}
          >
            {PERCENTILES.map(({ id, label }) => <option key={id} value={id}>{label}</option>)}
          </select>
        </Chart>
        <Chart data={depthChart(timeline, seen)} />
        <Chart data={lossChart(timeline, seen)} />
        <Chart data={flowChart(timeline)} />
        <RecentAlerts />
      </div>
    </>
  );
}
