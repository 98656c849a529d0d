/** Who reads: subscriptions now, and durable consumers with how far behind they are and why. */
import { useSignal } from "@preact/signals";
import { Chart } from "../chart/chart.tsx";
import { flowChart } from "../chart/live-charts.ts";
import { ago, whole } from "../format.ts";
import { hello, live, shown } from "../live/source.ts";
import { newest } from "../live/timeline.ts";
import { useAction } from "../parts/action.ts";
import { confirmed } from "../parts/confirm.tsx";
import { useLoaded } from "../parts/loaded.ts";
import { Problem } from "../parts/notice.tsx";
import { OutcomeNotice } from "../parts/outcome.tsx";
import { Table } from "../parts/table.tsx";
import { queryOf, request } from "../session.ts";

interface Group {
  readonly topics: readonly string[];
  readonly mode: string;
  readonly ready: number;
  readonly held: number;
  readonly dead: number;
  readonly members: readonly {
    readonly name: string;
    readonly in_flight: number;
    readonly is_full: boolean;
  }[];
}
interface Consumer {
  readonly name: string;
  readonly updated_us: number;
  readonly offsets: Readonly<Record<string, number>>;
  readonly lag: number;
  readonly standing: string;
  readonly group?: Group;
}

const EVERY_MS = 2_000;

export function ConsumersView() {
  const mayAdmin = hello.value?.caller.admin ?? true;
  const path = mayAdmin ? "/api/v1/consumers" : undefined;
  const { data, problem, reload } = useLoaded<{ consumers: readonly Consumer[] }>(path, EVERY_MS);
  const chosen = useSignal<string | undefined>(undefined);
  const { outcome, run } = useAction();
  const consumer = data?.consumers.find(({ name }) => name === chosen.value);
  const reset = (name: string, to: "earliest" | "latest") =>
    run(async () => {
      const place = to === "earliest" ? "beginning" : "end";
      const text = to === "earliest"
        ? "It gets everything in the log once more."
        : "It never gets what it has not confirmed yet.";
      if (!await confirmed(`Move ${name} to the ${place}?`, text, "Move")) return undefined;
      await request(`/api/v1/consumers/${encodeURIComponent(name)}/reset?to=${to}`, { method: "POST" });
      reload();
      return `${name} stands at the ${place} of the log`;
    });
  const forget = (name: string) =>
    run(async () => {
      const text = "Its position is lost: when it comes back it begins as a new one.";
      if (!await confirmed(`Forget ${name}?`, text, "Forget")) return undefined;
      await request(`/api/v1/consumers${queryOf({ name })}`, { method: "DELETE" });
      chosen.value = undefined;
      reload();
      return `${name} is forgotten`;
    });
  return (
    <>
      <p class="lead">
        <b>{whole(newest(live.value, "subscribers") ?? 0)}</b> subscriptions are served now,{" "}
        <b>{whole(newest(live.value, "connections") ?? 0)}</b> connections are open.
      </p>
      <Problem text={mayAdmin ? problem : "Durable consumers are shown to tokens with the scope admin"} />
      <OutcomeNotice outcome={outcome.value} />
      <Table
        label="Durable consumers"
        rows={[...data?.consumers ?? []].sort((a, b) => b.lag - a.lag)}
        keyOf={({ name }) => name}
        chosen={chosen.value}
        onChoose={({ name }) => chosen.value = name}
        empty={mayAdmin && data === undefined
          ? "Loading"
          : "No durable consumer: subscribe with a consumer name to have one."}
        columns={[
          { title: "Consumer", isWide: true, cell: ({ name }) => name },
          { title: "Behind", isNumber: true, cell: ({ lag }) => whole(lag) },
          {
            title: "Members",
            isNumber: true,
            cell: ({ group }) => group === undefined ? "–" : whole(group.members.length),
          },
          {
            title: "Confirmed",
            isNumber: true,
            cell: ({ updated_us: us }) => `${ago(Date.now() - us / 1000)} ago`,
          },
          { title: "Why it stands there", isWide: true, cell: ({ standing }) => standing },
        ]}
      />
      {consumer !== undefined && (
        <section class="detail card" aria-label="Consumer">
          <header>
            <h3>{consumer.name}</h3>
            <button
              type="button"
              class="quiet"
              aria-label="Close the consumer"
              onClick={() => chosen.value = undefined}
            >
              ✕
            </button>
          </header>
          <dl>
            {Object.entries(consumer.offsets).map(([place, offset]) => [
              <dt key={`t${place}`}>{place}</dt>,
              <dd key={`d${place}`}>next offset {whole(offset)}</dd>,
            ])}
            {consumer.group !== undefined && <GroupFacts group={consumer.group} />}
          </dl>
          <div class="actions">
            <button type="button" onClick={() => void reset(consumer.name, "earliest")}>
              To the beginning…
            </button>
            <button type="button" onClick={() => void reset(consumer.name, "latest")}>To the end…</button>
            <button type="button" class="danger" onClick={() => void forget(consumer.name)}>Forget…</button>
          </div>
        </section>
      )}
      <div class="charts">
        <Chart data={flowChart(shown.value)} />
      </div>
    </>
  );
}

function GroupFacts({ group }: { readonly group: Group }) {
  return (
    <>
      <dt>Topics</dt>
      <dd>{group.topics.join(" ")}</dd>
      <dt>Mode</dt>
      <dd>{group.mode}</dd>
      <dt>Ready, held, failed</dt>
      <dd>{whole(group.ready)}, {whole(group.held)}, {whole(group.dead)}</dd>
      {group.members.map(({ name, in_flight, is_full }) => [
        <dt key={`t${name}`}>Member {name}</dt>,
        <dd key={`d${name}`}>{whole(in_flight)} in flight{is_full ? ", full" : ""}</dd>,
      ])}
    </>
  );
}
