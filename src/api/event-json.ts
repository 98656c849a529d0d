/** An event as JSON: the shape that queries, SSE, WebSocket and the dead-letter list share. */
import type { EventView } from "../deliver/subscription.ts";
import { type DecodedEvent, decodeFrame } from "../event/decode.ts";
import { isUtf8 } from "../event/utf8.ts";

export interface JsonEvent {
  lane: string;
  shard: number;
  offset: number;
  topic: string;
  priority: number;
  received_us: number;
  time_us?: number;
  id?: string;
  key?: string;
  /** A name that the event carries several times has a list. */
  headers?: Record<string, string | string[]>;
  /** Text, or base64 when it is not UTF-8. */
  payload: string;
  encoding?: "base64";
}

// A byte order mark is part of the payload: it must come back.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Decodes the event that the view shows; the result is a copy. */
export function jsonEvent(view: EventView): JsonEvent {
  return jsonOf(decodeFrame(view.bytes, view.at), view);
}

/** The same from parts: an event and its place. */
export function jsonOf(
  event: DecodedEvent,
  place: { lane: string; shard: number; offset: number; receivedUs: number },
): JsonEvent {
  const { payload } = event;
  const isText = isUtf8(payload, 0, payload.length);
  return {
    lane: place.lane,
    shard: place.shard,
    offset: place.offset,
    topic: event.topic,
    priority: event.priority,
    received_us: place.receivedUs,
    ...(event.timeUs === undefined ? {} : { time_us: event.timeUs }),
    ...(event.id === undefined ? {} : { id: event.id }),
    ...(event.key === undefined ? {} : { key: event.key }),
    ...(event.headers.length === 0 ? {} : { headers: headersOf(event.headers) }),
    payload: isText ? decoder.decode(payload) : Buffer.from(payload).toString("base64"),
    ...(isText ? {} : { encoding: "base64" as const }),
  };
}

function headersOf(headers: DecodedEvent["headers"]): Record<string, string | string[]> {
  // Without a prototype: a header may be called "__proto__".
  const result: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of headers) {
    const present = result[name];
    if (present === undefined) result[name] = value;
    else if (Array.isArray(present)) present.push(value);
    else result[name] = [present, value];
  }
  return result;
}
