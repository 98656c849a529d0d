/** All alerts, newest first, as they are raised. */
import { useSignal } from "@preact/signals";
import { counted, timestamp, whole } from "../format.ts";
import { alerts, type LiveAlert } from "../live/alerts.ts";
import { hello } from "../live/source.ts";
import { Field } from "../parts/field.tsx";
import { Problem } from "../parts/notice.tsx";
import { Table } from "../parts/table.tsx";
import { linkTo } from "../route.ts";

const SEVERITIES = ["INFO", "WARNING", "CRITICAL", "EMERGENCY"];

export function AlertsView() {
  const least = useSignal("INFO");
  const text = useSignal("");
  const chosen = useSignal<LiveAlert | undefined>(undefined);
  const isHidden = hello.value?.caller.read_everything === false;
  const words = text.value.toLowerCase();
  const rows = alerts.value.filter(({ severity, rule, message, topic, key }) =>
    SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(least.value) &&
    [rule, message, topic, key].some((part) => part.toLowerCase().includes(words))
  );
  return (
    <>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <Field label="Contains" isWide>
          <input
            type="search"
            value={text.value}
            onInput={(event) => text.value = event.currentTarget.value}
          />
        </Field>
        <Field label="At least">
          <select value={least.value} onChange={(event) => least.value = event.currentTarget.value}>
            {SEVERITIES.map((name) => <option key={name}>{name}</option>)}
          </select>
        </Field>
        <output>{counted(rows.length, "alert")}</output>
      </form>
      <Problem
        text={isHidden ? "Alerts are about any topic: this token may not read everything" : undefined}
      />
      {chosen.value !== undefined && (
        <AlertDetail
          alert={chosen.value}
          onClose={() => chosen.value = undefined}
        />
      )}
      <Table
        label="Alerts"
        rows={rows}
        keyOf={({ id }) => id}
        chosen={chosen.value?.id}
        onChoose={(alert) => chosen.value = alert}
        empty="No alert matches. Rules and windows that raise alerts are set in the configuration."
        columns={[
          { title: "Raised", cell: ({ raised_us }) => <time>{timestamp(raised_us)}</time> },
          {
            title: "Severity",
            cell: ({ severity }) => <span class={`pill ${severity.toLowerCase()}`}>{severity}</span>,
          },
          { title: "Rule", cell: ({ rule }) => rule },
          { title: "Message", isWide: true, cell: ({ message }) => message },
          { title: "Topic", isWide: true, cell: ({ topic }) => topic },
          { title: "Key", cell: ({ key }) => key },
        ]}
      />
    </>
  );
}

function AlertDetail({ alert, onClose }: { readonly alert: LiveAlert; readonly onClose: () => void }) {
  const [lane, shard, offset] = alert.source.split("/");
  return (
    <section class="detail card" aria-label="Alert">
      <header>
        <h3>{alert.message || alert.rule}</h3>
        <button type="button" class="quiet" aria-label="Close the alert" onClick={onClose}>✕</button>
      </header>
      <dl>
        <dt>Rule</dt>
        <dd>{alert.rule}</dd>
        <dt>Raised</dt>
        <dd>{timestamp(alert.raised_us)}</dd>
        <dt>Kept back before it</dt>
        <dd>{whole(alert.suppressed)}</dd>
        {lane !== undefined && shard !== undefined && offset !== undefined && [
          <dt key="t">Event</dt>,
          <dd key="d">
            <a href={linkTo("log", { lane, shard, from_offset: offset, limit: "1" })}>{alert.source}</a>
          </dd>,
        ]}
      </dl>
      <pre
        class="payload"
        tabIndex={0}
        aria-label="What the rule saw"
      >{JSON.stringify(alert.context, undefined, 2)}</pre>
    </section>
  );
}
