/** Publishes one event by hand: to try a rule, to ring a bell. */
import { useSignal } from "@preact/signals";
import { hello } from "../live/source.ts";
import { useAction } from "../parts/action.ts";
import { PRIORITIES } from "../parts/event-detail.tsx";
import { Field, fieldsOf } from "../parts/field.tsx";
import { Notice } from "../parts/notice.tsx";
import { OutcomeNotice } from "../parts/outcome.tsx";
import { linkTo } from "../route.ts";
import { requestJson } from "../session.ts";

interface Place {
  readonly lane?: string;
  readonly shard?: number;
  readonly offset?: number;
  readonly duplicate?: true;
}

const COUNT_MAX = 1000;

export function PublishView() {
  const { outcome, isBusy, run } = useAction();
  const place = useSignal<Place | undefined>(undefined);
  const publish = (form: HTMLFormElement) =>
    run(async () => {
      place.value = undefined;
      const fields = fieldsOf(form);
      const event = {
        topic: fields["topic"],
        // As it was typed: spaces at the ends belong to it.
        payload: String(new FormData(form).get("payload") ?? ""),
        priority: Number(fields["priority"]),
        ...(fields["key"] === "" ? {} : { key: fields["key"] }),
        ...headersOf(fields["headers"] ?? ""),
      };
      const count = Math.min(COUNT_MAX, Math.max(1, Number(fields["count"]) || 1));
      const id = fields["id"] ?? "";
      const events = Array.from({ length: count }, (_, index) =>
        id === "" ? event : { ...event, id: count === 1 ? id : `${id}-${index}` });
      const answer = await requestJson<
        { published: number; failed: number; results: readonly (Place & { error?: { message: string } })[] }
      >(`/api/v1/publish?acks=${fields["acks"]}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(events),
      });
      const refused = answer.results.find(({ error }) =>
        error !== undefined
      )?.error;
      if (refused !== undefined) throw new Error(`${answer.failed} of ${count} refused: ${refused.message}`);
      place.value = answer.results.at(-1);
      const duplicates = answer.results.filter(({ duplicate }) => duplicate).length;
      const doubled = duplicates === 0 ? "" : `; ${duplicates} known already by their id, not stored again`;
      return `${answer.published} event${answer.published === 1 ? "" : "s"} published (${
        fields["acks"]
      })${doubled}`;
    });
  const { lane, shard, offset } = place.value ?? {};
  return (
    <form
      class="card form"
      onSubmit={(event) => {
        event.preventDefault();
        void publish(event.currentTarget);
      }}
    >
      {hello.value?.caller.publish === false && (
        <Notice kind="bad">This token has no permission to publish</Notice>
      )}
      <div class="filters">
        <Field label="Topic" isWide>
          <input name="topic" required maxLength={255} />
        </Field>
        <Field label="Priority">
          <select name="priority">
            {PRIORITIES.map((name, number) => (
              <option key={name} value={number} selected={number === 2}>{name}</option>
            ))}
          </select>
        </Field>
        <Field label="Key">
          <input name="key" />
        </Field>
        <Field label="Message id">
          <input name="id" maxLength={60} />
        </Field>
        <Field label="How many">
          <input name="count" type="number" min="1" max={COUNT_MAX} defaultValue="1" />
        </Field>
        <Field label="Wait until">
          <select name="acks">
            <option value="durable">durable</option>
            <option value="accepted">accepted</option>
            <option value="none">handed over</option>
          </select>
        </Field>
      </div>
      <Field label="Payload" isWide>
        <textarea name="payload" rows={8} spellcheck={false} />
      </Field>
      <Field label="Headers, a line each: name: value" isWide>
        <textarea name="headers" rows={2} spellcheck={false} />
      </Field>
      <div class="actions start">
        <button type="submit" class="primary" disabled={isBusy.value}>
          {isBusy.value ? "Publishing" : "Publish"}
        </button>
      </div>
      <OutcomeNotice outcome={outcome.value} />
      {lane !== undefined && shard !== undefined && offset !== undefined && (
        <p>
          <a href={linkTo("log", { lane, shard: String(shard), from_offset: String(offset), limit: "1" })}>
            {lane}/{shard} @ {offset}
          </a>
        </p>
      )}
    </form>
  );
}

/** @throws {TypeError} When a line is no header. */
function headersOf(text: string): { headers?: Record<string, string[]> } {
  const headers: Record<string, string[]> = {};
  for (const line of text.split("\n").filter((part) => part.trim() !== "")) {
    const colon = line.indexOf(":");
    if (colon <= 0) throw new TypeError(`Not a header, write name: value: "${line}"`);
    (headers[line.slice(0, colon).trim()] ??= []).push(line.slice(colon + 1).trim());
  }
  return Object.keys(headers).length === 0 ? {} : { headers };
}
