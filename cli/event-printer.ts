/** Prints events as `esc tail` shows them: for people, as JSON, or as the bytes they are. */
import { jsonOf } from "../src/api/event-json.ts";
import type { EventCursor } from "../src/client/events.ts";
import { PRIORITY_NAMES } from "../src/event/frame.ts";
import { colourJson, isJsonTree } from "./json-colour.ts";
import type { Output } from "./output.ts";
import { printable } from "./printable.ts";

export const EVENT_FORMATS = ["text", "json", "raw"] as const;
export type EventFormat = (typeof EVENT_FORMATS)[number];

const LF = 0x0a;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Gathers the events of one EVENTS frame and writes them at once. */
export class EventPrinter {
  readonly #output: Output;
  readonly #format: EventFormat;
  #lines: string[] = [];
  #raw = new Uint8Array(64 * 1024);
  #rawLength = 0;

  constructor(format: EventFormat, output: Output) {
    this.#format = format;
    this.#output = output;
  }

  /** Adds the event on which the cursor stands. */
  add(events: EventCursor): void {
    if (this.#format === "raw") this.#addRaw(events);
    else this.#lines.push(this.#format === "json" ? this.#json(events) : textOf(events, this.#output));
  }

  /** Writes what was added, and returns when it is written. */
  flush(): void {
    if (this.#rawLength > 0) this.#output.bytes(this.#raw.subarray(0, this.#rawLength));
    this.#rawLength = 0;
    if (this.#lines.length > 0) this.#output.line(this.#lines.join("\n"));
    this.#lines = [];
  }

  #json(events: EventCursor): string {
    const json = JSON.stringify(jsonOf(events.decode(), events));
    return this.#output.isColoured ? colourJson(json, this.#output) : json;
  }

  #addRaw(events: EventCursor): void {
    const { bytes, payloadAt, payloadEnd } = events;
    const length = this.#rawLength + payloadEnd - payloadAt + 1;
    if (length > this.#raw.length) {
      const grown = new Uint8Array(Math.max(length, 2 * this.#raw.length));
      grown.set(this.#raw.subarray(0, this.#rawLength));
      this.#raw = grown;
    }
    this.#raw.set(bytes.subarray(payloadAt, payloadEnd), this.#rawLength);
    this.#raw[length - 1] = LF;
    this.#rawLength = length;
  }
}

function textOf(events: EventCursor, output: Output): string {
  const event = events.decode();
  const words = [
    output.style("dim", `${timeOf(events.receivedUs)} ${events.lane}/${events.shard}@${events.offset}`),
    PRIORITY_NAMES[event.priority],
    output.style("bold", printable(event.topic)),
  ];
  if (event.key !== undefined) words.push(`key=${printable(event.key)}`);
  if (event.id !== undefined) words.push(`id=${printable(event.id)}`);
  for (const [name, value] of event.headers) words.push(`${printable(name)}=${printable(value)}`);
  const payload = payloadText(event.payload);
  words.push(output.isColoured && isJsonTree(payload) ? colourJson(payload, output) : payload);
  return words.join(" ");
}

/** ISO 8601 with microseconds. */
function timeOf(us: number): string {
  const micros = String(us % 1_000_000).padStart(6, "0");
  return `${new Date(Math.floor(us / 1_000_000) * 1000).toISOString().slice(0, -5)}.${micros}Z`;
}

function payloadText(payload: Uint8Array): string {
  try {
    return printable(utf8.decode(payload));
  } catch {
    return `base64:${Buffer.from(payload).toString("base64")}`;
  }
}
