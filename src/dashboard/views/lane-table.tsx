/** The lanes now, one below the other. */
import { format, whole } from "../format.ts";
import { state } from "../live/source.ts";
import { lanesOf, newest, rate, type Timeline } from "../live/timeline.ts";
import { Table } from "../parts/table.tsx";

export function LaneTable({ timeline }: { readonly timeline: Timeline }) {
  const recent = { ...timeline, rows: timeline.rows.slice(-2) };
  const now = (name: string, lane: string) => newest(timeline, name, lane);
  const perSecond = (name: string, lane: string) => format(rate(recent, name, lane).at(-1), "events/s");
  return (
    <Table
      label="Lanes"
      rows={lanesOf(timeline)}
      keyOf={(lane) => lane}
      empty="Waiting for the server"
      columns={[
        { title: "Lane", cell: (lane) => <b>{lane}</b> },
        { title: "State", cell: (lane) => <LaneState lane={lane} /> },
        {
          title: "Queue",
          cell: (lane) => <Fill depth={now("depth", lane)} capacity={now("capacity", lane)} />,
        },
        { title: "Accepted", isNumber: true, cell: (lane) => perSecond("accepted", lane) },
        { title: "Processed", isNumber: true, cell: (lane) => perSecond("processed", lane) },
        { title: "Durable p50", isNumber: true, cell: (lane) => format(now("append_p50", lane), "us") },
        { title: "p99", isNumber: true, cell: (lane) => format(now("append_p99", lane), "us") },
        { title: "Not durable yet", isNumber: true, cell: (lane) => whole(now("not_durable", lane) ?? 0) },
        { title: "Dropped", isNumber: true, cell: (lane) => whole(now("dropped", lane) ?? 0) },
        { title: "Events", isNumber: true, cell: (lane) => whole(now("accepted", lane) ?? 0) },
      ]}
    />
  );
}

function LaneState({ lane }: { readonly lane: string }) {
  const word = state.value?.lanes[lane] ?? "–";
  return <span class={`pill ${word}`}>{word}</span>;
}

function Fill({ depth, capacity }: { readonly depth: number | null; readonly capacity: number | null }) {
  const share = depth === null || !capacity ? 0 : depth / capacity;
  return (
    <span class="fill" title={`${format(depth, "bytes")} of ${format(capacity, "bytes")}`}>
      <meter
        min={0}
        max={1}
        high={0.5}
        optimum={0}
        value={share}
        aria-label="Part of the queue that is filled"
      />
      {format(share * 100, "%")}
    </span>
  );
}
