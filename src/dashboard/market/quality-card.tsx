/** How good the data are, and the lines they come by. */
import { ago, whole } from "../format.ts";
import { Table } from "../parts/table.tsx";
import type { Quality } from "./market-data.ts";

/** As `/api/v1/market/feeds` gives it. */
export interface Feed {
  readonly feed: string;
  readonly venue: string;
  readonly symbols: readonly string[];
  readonly lines: readonly {
    readonly line: string;
    readonly leads: boolean;
    readonly state: string;
    readonly losses: number;
    readonly last_data_us: number;
    readonly messages: Readonly<Record<string, number>>;
  }[];
}

const PARTS = ["completeness", "timeliness", "accuracy", "consistency"] as const;

export function QualityCard({ quality }: { readonly quality: Quality | undefined }) {
  return (
    <section class="card quality" aria-label="Quality">
      <header>
        <h3>Quality</h3>
        {quality !== undefined && (
          <span class={`pill ${quality.alerting ? "warning" : "running"}`}>{quality.health}</span>
        )}
      </header>
      {quality === undefined ? <p class="empty">Not told yet.</p> : (
        <>
          <p class="score">
            <b>{Math.round(quality.score)}</b> of 100 · freshness {quality.freshness}
          </p>
          <dl>
            {PARTS.map((part) => [
              <dt key={`t${part}`}>{part}</dt>,
              <dd key={`d${part}`}>
                <meter
                  min={0}
                  max={100}
                  low={50}
                  high={80}
                  optimum={100}
                  value={quality[part]}
                  aria-label={part}
                />
                {Math.round(quality[part])}
              </dd>,
            ])}
            {Object.entries(quality.counts).map(([name, count]) => [
              <dt key={`t${name}`}>{name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}</dt>,
              <dd key={`d${name}`}>{whole(count)}</dd>,
            ])}
          </dl>
        </>
      )}
    </section>
  );
}

export function Lines({ feeds }: { readonly feeds: readonly Feed[] }) {
  const rows = feeds.flatMap((feed) => feed.lines.map((line) => ({ feed: feed.feed, ...line })));
  return (
    <Table
      label="Lines"
      rows={rows}
      keyOf={({ feed, line }) => `${feed} ${line}`}
      empty="No line."
      columns={[
        { title: "Feed", cell: ({ feed }) => feed },
        { title: "Line", cell: ({ line, leads }) => leads ? <b>{line}, leads</b> : line },
        {
          title: "State",
          cell: ({ state }) => <span class={`pill ${state === "open" ? "running" : "warning"}`}>{state}
          </span>,
        },
        { title: "Messages", isNumber: true, cell: ({ messages }) => whole(messages["ok"] ?? 0) },
        {
          title: "Bad",
          isNumber: true,
          cell: ({ messages: { ok: _ok, ...bad } }) => whole(Object.values(bad).reduce((a, b) => a + b, 0)),
        },
        { title: "Lost", isNumber: true, cell: ({ losses }) => whole(losses) },
        {
          title: "Last data",
          isNumber: true,
          cell: ({ last_data_us: us }) => us > 0 ? `${ago(Date.now() - us / 1000)} ago` : "–",
        },
      ]}
    />
  );
}
