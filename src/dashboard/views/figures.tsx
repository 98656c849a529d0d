/** The figures that are looked at first, each with its last minute. */
import { counted, format, type Unit, whole } from "../format.ts";
import { type Cell, gauge, lanesOf, newest, rate, sum, type Timeline } from "../live/timeline.ts";

/** Seconds of the small lines. */
const SPARK_ROWS = 60;

interface Figure {
  readonly label: string;
  readonly unit: Unit;
  readonly values: readonly Cell[];
  /** Said below it. */
  readonly note?: string;
  readonly isBad?: boolean;
}

export function Figures({ timeline }: { readonly timeline: Timeline }) {
  const recent = { ...timeline, rows: timeline.rows.slice(-SPARK_ROWS - 1) };
  return (
    <ul class="figures">
      {figuresOf(recent).map(({ label, unit, values, note, isBad }) => (
        <li key={label} class={isBad === true ? "card bad" : "card"}>
          <span>{label}</span>
          <b>{format(values.at(-1), unit)}</b>
          <small>{note}</small>
          <Spark values={values} />
        </li>
      ))}
    </ul>
  );
}

function figuresOf(timeline: Timeline): Figure[] {
  const lanes = lanesOf(timeline);
  const allLanes = (name: string) => sum(lanes.map((lane) => rate(timeline, name, lane)));
  const worst = (name: string) => most(lanes.map((lane) => gauge(timeline, name, lane)));
  const lost = sum([allLanes("dropped"), rate(timeline, "rejected")]);
  const fill = most(lanes.map((lane) => {
    const capacity = gauge(timeline, "capacity", lane);
    return gauge(timeline, "depth", lane).map((depth, index) =>
      depth === null ? null : (depth / (capacity[index] || 1)) * 100
    );
  }));
  const durable = lanes.map((lane) => newest(timeline, "durable", lane) ?? 0).reduce((a, b) => a + b, 0);
  return [
    {
      label: "Received",
      unit: "events/s",
      values: rate(timeline, "received"),
      note: `${format(rate(timeline, "received_bytes").at(-1), "bytes/s")} · ${
        counted(newest(timeline, "connections") ?? 0, "connection")
      }`,
    },
    {
      label: "Durable",
      unit: "events/s",
      values: allLanes("durable"),
      note: `${whole(durable)} since start`,
    },
    {
      label: "Until durable, 99 %",
      unit: "us",
      values: worst("append_p99"),
      note: `median ${format(worst("append_p50").at(-1), "us")}`,
    },
    { label: "Fullest queue", unit: "%", values: fill, note: "of its bytes", isBad: (fill.at(-1) ?? 0) > 50 },
    {
      label: "Lost",
      unit: "events/s",
      values: lost,
      note: `${counted(newest(timeline, "dead_letters") ?? 0, "dead letter")}`,
      isBad: (lost.at(-1) ?? 0) > 0,
    },
    {
      label: "Delivered",
      unit: "events/s",
      values: rate(timeline, "delivered"),
      note: `${counted(newest(timeline, "subscribers") ?? 0, "subscriber")}`,
    },
    {
      label: "CPU",
      unit: "%",
      values: rate(timeline, "cpu").map((part) => part === null ? null : part * 100),
      note: "of one core",
    },
    {
      label: "Memory",
      unit: "bytes",
      values: gauge(timeline, "resident_bytes"),
      note: `${format(newest(timeline, "log_bytes"), "bytes")} of logs`,
    },
  ];
}

/** The largest of several lists, value by value. */
function most(lists: readonly (readonly Cell[])[]): Cell[] {
  const [first = []] = lists;
  return first.map((_, index) => {
    const values = lists.map((list) => list[index] ?? null).filter((value) => value !== null);
    return values.length === 0 ? null : Math.max(...values);
  });
}

function Spark({ values }: { readonly values: readonly Cell[] }) {
  const top = Math.max(...values.map((value) => value ?? 0), 1e-9);
  const left = SPARK_ROWS - values.length;
  const points = values.flatMap((value, index) =>
    value === null ? [] : [`${left + index},${(19 - (value / top) * 18).toFixed(1)}`]
  );
  return (
    <svg class="spark" viewBox={`0 0 ${SPARK_ROWS} 20`} preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points.join(" ")} />
    </svg>
  );
}
