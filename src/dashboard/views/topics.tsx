/** Topics since start: which are busy, and where their events are. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { ago, format, timestamp, whole } from "../format.ts";
import { Field } from "../parts/field.tsx";
import { useLoaded } from "../parts/loaded.ts";
import { Problem } from "../parts/notice.tsx";
import { Table } from "../parts/table.tsx";
import { linkTo } from "../route.ts";
import { queryOf } from "../session.ts";

interface Topic {
  readonly topic: string;
  readonly lane: string;
  readonly events: number;
  readonly last_received_us: number;
}
interface Topics {
  readonly topics: readonly Topic[];
  readonly total: number;
}

const SHOWN = "500";
const EVERY_MS = 2_000;

export function TopicsView() {
  const match = useSignal("");
  const path = `/api/v1/topics${queryOf({ match: match.value, limit: SHOWN })}`;
  const { data, problem } = useLoaded<Topics>(path, EVERY_MS);
  const rates = useRates(data);
  return (
    <>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <Field label="Pattern (* one part, > the rest)" isWide>
          <input
            type="search"
            placeholder=">"
            onChange={(event) => match.value = event.currentTarget.value.trim()}
          />
        </Field>
        <output>{data === undefined ? "" : `${whole(data.total)} topics`}</output>
      </form>
      <Problem text={problem} />
      <Table
        label="Topics"
        rows={data?.topics ?? []}
        keyOf={({ topic }) => topic}
        empty={data === undefined
          ? "Loading"
          : "No topic matches: nothing was published yet, or the pattern is narrow."}
        columns={[
          {
            title: "Topic",
            isWide: true,
            cell: ({ topic }) => <a href={linkTo("log", { topic })}>{topic}</a>,
          },
          { title: "Lane", cell: ({ lane }) => lane },
          { title: "Events", isNumber: true, cell: ({ events }) => whole(events) },
          { title: "Now", isNumber: true, cell: ({ topic }) => format(rates.get(topic), "events/s") },
          {
            title: "Last",
            isNumber: true,
            cell: ({ last_received_us: us }) =>
              us === 0
                ? "before the start"
                : <time title={timestamp(us)}>{ago(Date.now() - us / 1000)} ago</time>,
          },
        ]}
      />
    </>
  );
}

/** Events a second between the last two answers. */
function useRates(data: Topics | undefined): ReadonlyMap<string, number> {
  const last = useRef<{ data?: Topics; ms: number; rates: ReadonlyMap<string, number> }>({
    ms: 0,
    rates: new Map(),
  });
  if (data !== undefined && data !== last.current.data) {
    const before = new Map(last.current.data?.topics.map(({ topic, events }) => [topic, events]));
    const now = Date.now();
    const seconds = (now - last.current.ms) / 1000;
    const rates = new Map(data.topics.flatMap(({ topic, events }) => {
      const count = before.get(topic);
      return count === undefined ? [] : [[topic, Math.max(0, events - count) / seconds] as const];
    }));
    last.current = { data, ms: now, rates };
  }
  return last.current.rates;
}
