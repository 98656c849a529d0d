/** From window results, each of a key and a time, to lines over time. */
import type { Series } from "../chart/chart-data.ts";
import type { Cell } from "../live/timeline.ts";

/** As `/api/v1/windows/{name}` gives it. */
export interface WindowResult {
  readonly key: string;
  readonly start_us: number;
  readonly end_us: number;
  readonly count: number;
  readonly sum: number | null;
  readonly min: number | null;
  readonly max: number | null;
  readonly result: unknown;
}

/** More lines than that nobody tells apart. */
const KEYS_MAX = 8;

/** What can be drawn: every number that any result has. */
export function measuresOf(results: readonly WindowResult[]): string[] {
  const names = new Set(["count"]);
  for (const result of results) {
    for (const name of ["sum", "min", "max"] as const) if (result[name] !== null) names.add(name);
    for (const [name, value] of Object.entries(Object(result.result))) {
      if (typeof value === "number") names.add(name);
    }
  }
  return [...names];
}

/** A line for each of the keys with the most events; the others are left out. */
export function seriesByKey(
  results: readonly WindowResult[],
  measure: string,
): { times: number[]; series: Series[] } {
  const events = new Map<string, number>();
  for (const { key, count } of results) events.set(key, (events.get(key) ?? 0) + count);
  const keys = [...events].sort((a, b) => b[1] - a[1]).slice(0, KEYS_MAX).map(([key]) => key).sort();
  const times = [...new Set(results.map(({ start_us }) => start_us))].sort((a, b) => a - b);
  const series = keys.map((key, color) => {
    const values = new Map(
      results.filter((result) => result.key === key).map((
        result,
      ) => [result.start_us, valueOf(result, measure)]),
    );
    return { label: key === "" ? "all" : key, values: times.map((time) => values.get(time) ?? null), color };
  });
  return { times: times.map((us) => us / 1e6), series };
}

function valueOf(result: WindowResult, measure: string): Cell {
  const inResult: unknown = Object(result.result)[measure];
  if (typeof inResult === "number") return inResult;
  return measure === "count" || measure === "sum" || measure === "min" || measure === "max"
    ? result[measure]
    : null;
}
