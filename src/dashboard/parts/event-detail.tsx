/** Everything about one event. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { save } from "../export/save.ts";
import { format, timestamp } from "../format.ts";
import { bytesOf, hexOf, prettyJson, textOf } from "./payload.ts";

export const PRIORITIES = ["BATCH", "LOW", "MEDIUM", "HIGH", "CRITICAL"] as const;

/** As `/api/v1/events` gives it. */
export interface EventView {
  readonly lane: string;
  readonly shard: number;
  readonly offset: number;
  readonly topic: string;
  readonly priority: number;
  readonly received_us: number;
  readonly time_us?: number;
  readonly id?: string;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly payload: string;
  readonly encoding?: "base64";
}

export interface EventDetailProps {
  readonly event: EventView;
  /** More to know of it, as terms and values. */
  readonly facts?: readonly (readonly [term: string, value: ComponentChildren])[];
  readonly children?: ComponentChildren;
  readonly onClose: () => void;
}

export function EventDetail({ event, facts = [], children, onClose }: EventDetailProps) {
  const look = useSignal<"json" | "text" | "hex">("json");
  const bytes = bytesOf(event);
  const json = prettyJson(event);
  const shown = look.value === "json" && json === undefined ? (event.encoding ? "hex" : "text") : look.value;
  const all: readonly (readonly [string, ComponentChildren])[] = [
    ["Place", `${event.lane}/${event.shard} @ ${event.offset}`],
    ["Received", timestamp(event.received_us)],
    ...(event.time_us === undefined ? [] : [["Event time", timestamp(event.time_us)] as const]),
    ["Priority", PRIORITIES[event.priority] ?? event.priority],
    ...(event.id === undefined ? [] : [["Message id", event.id] as const]),
    ...(event.key === undefined ? [] : [["Key", event.key] as const]),
    ...facts,
    ...Object.entries(event.headers ?? {}).map(([name, value]) =>
      [`Header ${name}`, [value].flat().join(", ")] as const
    ),
  ];
  return (
    <section class="detail card" aria-label="Event">
      <header>
        <h3>{event.topic}</h3>
        <button type="button" class="quiet" onClick={onClose} aria-label="Close the event">✕</button>
      </header>
      <dl>
        {all.map(([term, value]) => [<dt key={`t${term}`}>{term}</dt>, <dd key={`d${term}`}>{value}</dd>])}
      </dl>
      <div class="tabs" role="group" aria-label="Look at the payload as">
        {(["json", "text", "hex"] as const).map((name) => (
          <button
            type="button"
            key={name}
            aria-pressed={shown === name}
            disabled={name === "json" && json === undefined}
            onClick={() => look.value = name}
          >
            {name.toUpperCase()}
          </button>
        ))}
        <span>{format(bytes.length, "bytes")}</span>
        <button
          type="button"
          class="quiet"
          onClick={() => save(`${event.lane}-${event.offset}.bin`, new Blob([bytes]))}
        >
          Download
        </button>
      </div>
      <pre class="payload" tabIndex={0} aria-label="Payload">
        {shown === "json" ? json : shown === "text" ? textOf(event) : hexOf(bytes)}
      </pre>
      {children}
    </section>
  );
}
