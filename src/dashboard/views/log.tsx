/** The log explorer: events by topic, place and time, and what is in them. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { counted, format, timestamp } from "../format.ts";
import { live } from "../live/source.ts";
import { lanesOf } from "../live/timeline.ts";
import { streamEvents } from "../live/event-stream.ts";
import { useAction } from "../parts/action.ts";
import { EventDetail, type EventView, PRIORITIES } from "../parts/event-detail.tsx";
import { Field, fieldsOf, instantOf } from "../parts/field.tsx";
import { Problem } from "../parts/notice.tsx";
import { OutcomeNotice } from "../parts/outcome.tsx";
import { bytesOf, preview } from "../parts/payload.ts";
import { Table } from "../parts/table.tsx";
import { route, show } from "../route.ts";
import { queryOf, requestJson } from "../session.ts";

interface Page {
  readonly events: readonly EventView[];
  readonly cursor?: string;
}

/** Events that the page keeps; searching on begins anew from there. */
const EVENTS_MAX = 5_000;
/** Newest events that are shown while following. */
const FOLLOWED_MAX = 200;
/** Answers without events that are skipped at a time: the server reads 100 ms for each. */
const PAGES_MAX = 50;
const RECENT = [
  { label: "Last 10 s", ms: 10_000 },
  { label: "Last minute", ms: 60_000 },
  { label: "Last 10 min", ms: 600_000 },
  { label: "Last hour", ms: 3_600_000 },
] as const;
const FILTERS = ["topic", "lane", "shard", "from_offset", "from_time", "to_time", "limit"] as const;

export function LogView() {
  const { query } = route.value;
  const events = useSignal<readonly EventView[]>([]);
  const cursor = useSignal<string | undefined>(undefined);
  const chosen = useSignal<EventView | undefined>(undefined);
  const { outcome, isBusy, run } = useAction();
  const filter = query.toString();
  const isFollowing = useSignal(false);
  const streamProblem = useSignal<string | undefined>(undefined);

  /** @param from Absent: from the beginning. */
  const search = (from?: string) =>
    run(async () => {
      if (from === undefined) {
        events.value = [];
        chosen.value = undefined;
      }
      let next = from;
      for (let page = 0; page < PAGES_MAX; page++) {
        const asked = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? undefined]));
        const path = `/api/v1/events${queryOf({ ...asked, cursor: next })}`;
        const answer: Page = await requestJson<Page>(path);
        events.value = [...events.value, ...answer.events].slice(-EVENTS_MAX);
        next = answer.cursor;
        if (next === undefined || answer.events.length > 0) break;
      }
      cursor.value = next;
      return undefined;
    });
  useEffect(() => {
    streamProblem.value = undefined;
    if (!isFollowing.value) return void search();
    events.value = [];
    cursor.value = undefined;
    const lane = query.get("lane") ?? "";
    return streamEvents({
      topics: [query.get("topic") || ">"],
      ...(lane === "" ? {} : { lanes: [lane] }),
      from: "latest",
      onEvents: (newer) =>
        events.value = [...newer.slice(-FOLLOWED_MAX).reverse(), ...events.value].slice(0, FOLLOWED_MAX),
      onProblem: (problem) => streamProblem.value = problem,
    });
  }, [filter, isFollowing.value]);

  const event = chosen.value;
  return (
    <>
      <form
        class="filters"
        key={filter}
        onSubmit={(submitted) => {
          submitted.preventDefault();
          const fields = fieldsOf(submitted.currentTarget);
          for (const name of ["from_time", "to_time"]) fields[name] = instantOf(fields[name]);
          const set = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ""));
          if (new URLSearchParams(set).toString() === filter) void search();
          else show("log", set);
        }}
      >
        <Field label="Topic pattern" isWide>
          <input name="topic" placeholder=">" defaultValue={query.get("topic") ?? ""} />
        </Field>
        <Field label="Lane">
          <select name="lane" defaultValue={query.get("lane") ?? ""}>
            <option value="">all</option>
            {[...lanesOf(live.value), "dlq"].map((lane) => (
              <option key={lane} selected={lane === query.get("lane")}>{lane}</option>
            ))}
          </select>
        </Field>
        <Field label="Shard">
          <input name="shard" type="number" min="0" defaultValue={query.get("shard") ?? ""} />
        </Field>
        <Field label="From offset">
          <input name="from_offset" type="number" min="0" defaultValue={query.get("from_offset") ?? ""} />
        </Field>
        <Field label="Received from">
          <input
            name="from_time"
            type="datetime-local"
            step="1"
            defaultValue={localOf(query.get("from_time"))}
          />
        </Field>
        <Field label="before">
          <input name="to_time" type="datetime-local" step="1" defaultValue={localOf(query.get("to_time"))} />
        </Field>
        <Field label="Events at a time">
          <input name="limit" type="number" min="1" max="1000" defaultValue={query.get("limit") ?? "100"} />
        </Field>
        <button type="submit" class="primary" disabled={isBusy.value}>
          {isBusy.value ? "Reading" : "Search"}
        </button>
        <div class="actions start presets" role="group" aria-label="Newest events">
          <button
            type="button"
            aria-pressed={isFollowing.value}
            class={isFollowing.value ? "primary" : "quiet"}
            onClick={() => isFollowing.value = !isFollowing.value}
          >
            {isFollowing.value ? "Following" : "Follow"}
          </button>
          {RECENT.map(({ label, ms }) => (
            <button
              type="button"
              class="quiet"
              key={label}
              onClick={() =>
                show("log", {
                  ...Object.fromEntries(query),
                  from_offset: "",
                  from_time: new Date(Date.now() - ms).toISOString(),
                  to_time: "",
                })}
            >
              {label}
            </button>
          ))}
        </div>
      </form>
      <OutcomeNotice outcome={outcome.value} />
      <Problem text={streamProblem.value} />
      {event !== undefined && <EventDetail event={event} onClose={() => chosen.value = undefined} />}
      <Table
        label="Events"
        rows={events.value}
        keyOf={placeOf}
        chosen={event && placeOf(event)}
        onChoose={(row) => chosen.value = row}
        empty={isFollowing.value
          ? "Waiting for events"
          : isBusy.value
          ? "Reading the log"
          : "No event matches."}
        columns={[
          { title: "Received", cell: ({ received_us }) => <time>{timestamp(received_us)}</time> },
          { title: "Place", cell: placeOf },
          { title: "Topic", isWide: true, cell: ({ topic }) => topic },
          { title: "Priority", cell: ({ priority }) => PRIORITIES[priority] ?? priority },
          { title: "Key", cell: ({ key }) => key ?? "" },
          { title: "Size", isNumber: true, cell: (row) => format(bytesOf(row).length, "bytes") },
          { title: "Payload", isWide: true, cell: (row) => <code>{preview(row)}</code> },
        ]}
      />
      <p class="more">
        {counted(events.value.length, "event")}
        {cursor.value !== undefined && (
          <button
            type="button"
            disabled={isBusy.value}
            onClick={() => void search(cursor.value)}
          >
            Load more
          </button>
        )}
      </p>
    </>
  );
}

function placeOf({ lane, shard, offset }: EventView): string {
  return `${lane}/${shard} @ ${offset}`;
}

/** A time as the field for local times takes it. */
function localOf(instant: string | null): string {
  const ms = instant === null ? NaN : Date.parse(instant);
  if (!Number.isFinite(ms)) return "";
  return timestamp(ms * 1000).slice(0, 19).replace(" ", "T");
}
