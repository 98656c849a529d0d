/** Results of a window over time, a line a key. */
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Chart } from "../chart/chart.tsx";
import type { ChartData } from "../chart/chart-data.ts";
import { activate, Span } from "../chart/span.ts";
import { timestamp, whole } from "../format.ts";
import { Field } from "../parts/field.tsx";
import { useLoaded } from "../parts/loaded.ts";
import { Problem } from "../parts/notice.tsx";
import { Table } from "../parts/table.tsx";
import { queryOf } from "../session.ts";
import { measuresOf, seriesByKey, type WindowResult } from "./window-series.ts";

const EVERY_MS = 2_000;
const RESULTS = "1000";

export function WindowsView() {
  const config = useLoaded<{ windows?: Record<string, unknown> }>("/api/v1/config");
  const names = Object.keys(config.data?.windows ?? {});
  const typed = useSignal("");
  const key = useSignal("");
  const measure = useSignal("count");
  const name = typed.value || names[0];
  const path = name === undefined
    ? undefined
    : `/api/v1/windows/${encodeURIComponent(name)}${
      queryOf({ key: key.value, order: "desc", limit: RESULTS })
    }`;
  const { data, problem } = useLoaded<{ windows: readonly WindowResult[] }>(path, EVERY_MS);
  const results = data?.windows ?? [];
  const measures = measuresOf(results);
  const shown = measures.includes(measure.value) ? measure.value : measures[0] ?? "count";
  const chart: ChartData = {
    id: `window-${(name ?? "none").replace(/[^\w-]+/g, "_")}`,
    title: `${name ?? ""}: ${shown}`,
    unit: "number",
    ...seriesByKey(results, shown),
  };
  const span = useWholeSpan(chart);
  return (
    <>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <Field label="Window">
          {names.length > 0
            ? (
              <select value={name} onChange={(event) => typed.value = event.currentTarget.value}>
                {names.map((one) => <option key={one}>{one}</option>)}
              </select>
            )
            : (
              <input
                placeholder="its name"
                onChange={(event) => typed.value = event.currentTarget.value.trim()}
              />
            )}
        </Field>
        <Field label="Measure">
          <select value={shown} onChange={(event) => measure.value = event.currentTarget.value}>
            {measures.map((one) => <option key={one}>{one}</option>)}
          </select>
        </Field>
        <Field label="Key" isWide>
          <input
            type="search"
            placeholder="all"
            onChange={(event) => key.value = event.currentTarget.value.trim()}
          />
        </Field>
      </form>
      <Problem text={name === undefined ? config.problem : problem} />
      {name === undefined
        ? (
          <p class="empty">
            No window is configured. Windows are set under the key windows of the configuration.
          </p>
        )
        : (
          <>
            <div class="charts one">
              <Chart data={chart} span={span} />
            </div>
            <Table
              label="Results"
              rows={results.slice(0, 200)}
              keyOf={(row) => `${row.key} ${row.start_us} ${row.end_us}`}
              empty={data === undefined ? "Loading" : "No window has closed yet."}
              columns={[
                { title: "Start", cell: ({ start_us }) => <time>{timestamp(start_us)}</time> },
                { title: "End", cell: ({ end_us }) => <time>{timestamp(end_us).slice(11)}</time> },
                { title: "Key", cell: (row) => row.key },
                { title: "Events", isNumber: true, cell: ({ count }) => whole(count) },
                {
                  title: "Result",
                  isWide: true,
                  cell: ({ result }) => <code>{JSON.stringify(result)}</code>,
                },
              ]}
            />
          </>
        )}
    </>
  );
}

/** A span of its own, over all there is; keys move it while the view is there. */
function useWholeSpan({ times }: ChartData): Span {
  const whole = useSignal({ from: 0, to: 1 });
  const span = useMemo(() => new Span(() => whole.value), []);
  const [from, to] = [times[0] ?? 0, times.at(-1) ?? 1];
  useEffect(() => {
    whole.value = { from, to: Math.max(to, from + 1) };
  }, [from, to]);
  useEffect(() => activate(span), []);
  return span;
}
