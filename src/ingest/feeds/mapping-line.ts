/**
 * The connection part of a mapping: where to connect, and messages as templates.
 *
 * A template is any JSON value. `{symbol}` inside a text is replaced by one symbol, and the message is sent for each; a
 * text that is exactly `{symbols}` becomes the list of a batch, and the message is sent once a batch.
 */
import * as z from "zod";
import type { Channel, Venue } from "./venue.ts";
import { mappedBookOptions, MappingDecoder } from "./mapping.ts";
import type { MappingSpec } from "./mapping-spec.ts";
import { isArray, isObject } from "./json.ts";

const template = z.json();

export const lineSchema = z.strictObject({
  url: z.string().regex(/^wss?:\/\//, { message: "must start with ws:// or wss://" }),
  /** What to send for each kind of data; kinds left out are not offered. */
  subscribe: z.strictObject({
    trades: template.optional(),
    book: template.optional(),
    quotes: template.optional(),
  }),
  /** Symbols in one message where a template takes a list. */
  batch: z.number().int().min(1).max(1000).default(10),
  /** Messages that make the venue send a book's snapshot again. */
  resubscribe: z.array(template).default([]),
  sends_per_second: z.number().positive().max(1000).default(5),
  ping: z.strictObject({ text: z.string(), every_ms: z.number().positive() }).optional(),
  /** Nothing at all for so long: the line is dead. */
  silence_ms: z.number().positive().default(30_000),
  /** Only heartbeats for so long: the subscription is dead. */
  data_silence_ms: z.number().positive().optional(),
  rotate_ms: z.number().positive().optional(),
  snapshot_url: z.string().optional(),
  snapshot_weight: z.number().positive().default(1),
  weight_per_minute: z.number().positive().default(60),
});

export type MappedLine = z.infer<typeof lineSchema>;

/** The venue a mapping with a `line` describes. */
export function mappedVenue(name: string, spec: MappingSpec, line: MappedLine): Venue {
  const { snapshot_url: snapshotUrl, ping } = line;
  return {
    name,
    url: line.url,
    book: mappedBookOptions(spec),
    tradesContiguous: spec.trade_ids === "contiguous",
    makeDecoder: (sink) => new MappingDecoder(sink, name, spec),
    subscribe: ({ symbols, channels }) => subscriptions(line, symbols, channels),
    resubscribe: (symbol) => line.resubscribe.map((one) => JSON.stringify(fill(one, [symbol]))),
    ...(snapshotUrl === undefined
      ? {}
      : { snapshotUrl: (symbol: string) => snapshotUrl.replaceAll("{symbol}", encodeURIComponent(symbol)) }),
    snapshotWeight: line.snapshot_weight,
    restWeightPerMinute: line.weight_per_minute,
    sendsPerSecondMax: line.sends_per_second,
    ...(ping === undefined ? {} : { ping: { text: ping.text, everyMs: ping.every_ms } }),
    silenceMs: line.silence_ms,
    ...(line.data_silence_ms === undefined ? {} : { dataSilenceMs: line.data_silence_ms }),
    ...(line.rotate_ms === undefined ? {} : { rotateMs: line.rotate_ms }),
  };
}

function subscriptions(line: MappedLine, symbols: readonly string[], channels: readonly Channel[]): string[] {
  const messages: string[] = [];
  for (const channel of channels) {
    const message = line.subscribe[channel];
    if (message === undefined) continue;
    const size = takesList(message) ? line.batch : 1;
    for (let at = 0; at < symbols.length; at += size) {
      messages.push(JSON.stringify(fill(message, symbols.slice(at, at + size))));
    }
  }
  return messages;
}

function takesList(value: unknown): boolean {
  if (isArray(value)) return value.some(takesList);
  return isObject(value) ? Object.values(value).some(takesList) : value === "{symbols}";
}

function fill(value: unknown, symbols: readonly string[]): unknown {
  if (typeof value === "string") {
    return value === "{symbols}" ? symbols : value.replaceAll("{symbol}", symbols[0] ?? "");
  }
  if (isArray(value)) return value.map((one) => fill(one, symbols));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, fill(one, symbols)]));
}
