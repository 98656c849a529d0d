/** The dead-letter browser: what could not be processed, why, and the way back. */
import { useSignal } from "@preact/signals";
import { counted, timestamp, whole } from "../format.ts";
import { live } from "../live/source.ts";
import { lanesOf } from "../live/timeline.ts";
import { useAction } from "../parts/action.ts";
import { confirmed } from "../parts/confirm.tsx";
import { EventDetail, type EventView } from "../parts/event-detail.tsx";
import { Field, fieldsOf } from "../parts/field.tsx";
import { useLoaded } from "../parts/loaded.ts";
import { Problem } from "../parts/notice.tsx";
import { OutcomeNotice } from "../parts/outcome.tsx";
import { preview } from "../parts/payload.ts";
import { Table } from "../parts/table.tsx";
import { queryOf, requestJson } from "../session.ts";

interface DeadLetter extends EventView {
  readonly reason: string;
  readonly error?: string;
  readonly origin: { readonly lane?: string; readonly shard?: number; readonly offset?: number };
  readonly attempts: number;
  readonly died_us?: number;
}
interface Requeued {
  readonly requeued: number;
  readonly duplicates: number;
  readonly failed: number;
  readonly has_more: boolean;
}

type Filter = Readonly<Record<string, string>>;

const SHOWN = "200";

export function DeadLettersView() {
  const filter = useSignal<Filter>({});
  const chosen = useSignal<DeadLetter | undefined>(undefined);
  const { outcome, isBusy, run } = useAction();
  const path = `/api/v1/dlq${queryOf({ ...filter.value, limit: SHOWN })}`;
  const { data, problem, reload } = useLoaded<{ events: readonly DeadLetter[]; cursor?: string }>(path);
  const letters = data?.events ?? [];

  const requeue = (which: Filter) =>
    run(async () => {
      const asked = await requestJson<Requeued>(
        `/api/v1/dlq/requeue${queryOf({ ...which, dry_run: "true" })}`,
        { method: "POST" },
      );
      if (asked.requeued === 0) return "No dead letter matches";
      const text = "Each is published again as it was, and is not listed any more once it is durable.";
      const more = asked.has_more ? " at least" : "";
      if (
        !await confirmed(`Requeue${more} ${counted(asked.requeued, "dead letter")}?`, text, "Requeue")
      ) return undefined;
      const done = await requestJson<Requeued>(`/api/v1/dlq/requeue${queryOf(which)}`, { method: "POST" });
      chosen.value = undefined;
      reload();
      const rest = [
        done.duplicates > 0 ? `${whole(done.duplicates)} were stored already` : "",
        done.failed > 0 ? `${whole(done.failed)} failed and stay` : "",
        done.has_more ? "there are more" : "",
      ].filter((part) => part !== "");
      return [`${counted(done.requeued, "dead letter")} requeued`, ...rest].join("; ");
    });
  const purge = (which: Filter) =>
    run(async () => {
      const asked = await requestJson<{ deleted: number }>(
        `/api/v1/dlq${queryOf({ ...which, dry_run: "true" })}`,
        { method: "DELETE" },
      );
      if (asked.deleted === 0) return "No dead letter matches";
      const text = "They are not listed any more and cannot be requeued.";
      if (
        !await confirmed(`Give up ${counted(asked.deleted, "dead letter")}?`, text, "Give up")
      ) return undefined;
      const done = await requestJson<{ deleted: number }>(`/api/v1/dlq${queryOf(which)}`, {
        method: "DELETE",
      });
      chosen.value = undefined;
      reload();
      return `${counted(done.deleted, "dead letter")} given up`;
    });

  const letter = chosen.value;
  return (
    <>
      <form
        class="filters"
        onSubmit={(event) => {
          event.preventDefault();
          filter.value = fieldsOf(event.currentTarget);
          reload();
        }}
      >
        <Field label="Topic pattern" isWide>
          <input name="topic" placeholder=">" />
        </Field>
        <Field label="Reason">
          <input name="reason" list="reasons" placeholder="any" />
        </Field>
        <datalist id="reasons">
          {[...new Set(letters.map(({ reason }) => reason))].map((reason) => (
            <option key={reason} value={reason} />
          ))}
        </datalist>
        <Field label="Meant for lane">
          <select name="lane">
            <option value="">any</option>
            {lanesOf(live.value).map((lane) => <option key={lane}>{lane}</option>)}
          </select>
        </Field>
        <button type="submit" class="primary">Search</button>
      </form>
      <Problem text={problem} />
      <OutcomeNotice outcome={outcome.value} />
      <div class="actions start">
        <button
          type="button"
          disabled={isBusy.value || letters.length === 0}
          onClick={() => void requeue(filter.value)}
        >
          Requeue all that match…
        </button>
        <button
          type="button"
          class="danger"
          disabled={isBusy.value || letters.length === 0}
          onClick={() => void purge(filter.value)}
        >
          Give up all that match…
        </button>
      </div>
      {letter !== undefined && (
        <EventDetail
          event={letter}
          facts={[
            ["Reason", letter.reason],
            ...(letter.error === undefined ? [] : [["Error", letter.error] as const]),
            ["Origin", originOf(letter)],
            ["Attempts", whole(letter.attempts)],
          ]}
          onClose={() => chosen.value = undefined}
        >
          <div class="actions">
            <button type="button" onClick={() => void requeue({ offset: String(letter.offset) })}>
              Requeue…
            </button>
            <button
              type="button"
              class="danger"
              onClick={() => void purge({ offset: String(letter.offset) })}
            >
              Give up…
            </button>
          </div>
        </EventDetail>
      )}
      <Table
        label="Dead letters"
        rows={letters}
        keyOf={({ offset }) => String(offset)}
        chosen={letter && String(letter.offset)}
        onChoose={(row) => chosen.value = row}
        empty={data === undefined
          ? "Loading"
          : "No dead letters: everything that came was processed or refused to its face."}
        columns={[
          { title: "Died", cell: (row) => <time>{timestamp(row.died_us ?? row.received_us)}</time> },
          { title: "Reason", cell: ({ reason }) => <span class="pill failed">{reason}</span> },
          { title: "Topic", isWide: true, cell: ({ topic }) => topic },
          { title: "Origin", cell: originOf },
          { title: "Attempts", isNumber: true, cell: ({ attempts }) => whole(attempts) },
          { title: "Payload", isWide: true, cell: (row) => <code>{preview(row)}</code> },
        ]}
      />
      {data?.cursor !== undefined && (
        <p class="more">These are the oldest {SHOWN}; narrow the search to see others.</p>
      )}
    </>
  );
}

function originOf({ origin: { lane, shard, offset } }: DeadLetter): string {
  if (lane === undefined) return "–";
  return `${lane}${shard === undefined ? "" : `/${shard}`}${offset === undefined ? "" : ` @ ${offset}`}`;
}
