/** The contract of a venue's decoder: raw message text in, normalised messages out. */
import type { Instrument, InstrumentTable } from "../../market/instrument.ts";
import type { MarketMessage } from "../../market/message.ts";

/** Takes one message; it is reused as soon as the sink returns. */
export type MessageSink = (message: MarketMessage) => void;

/**
 * What became of a text: `ok` understood (even if nothing in it concerned us), or why it was refused. Messages the
 * sink got before the refusal stand.
 */
export type DecodeResult =
  | "ok"
  | "not_json"
  | "bad_message"
  | "bad_number"
  | "unknown_symbol"
  | "too_many_levels";

export interface Decoder {
  readonly instruments: InstrumentTable;
  /** Decodes one text frame. Never throws for anything a venue may send. */
  decode(text: string, receivedUs: number): DecodeResult;
  /** Decodes a book snapshot fetched by REST for an instrument, where the venue's books start with one. */
  decodeSnapshot?(text: string, instrument: Instrument, receivedUs: number): DecodeResult;
  /** A new connection has opened: forgets what counted on the one before. */
  lineRestored?(): void;
}

/** Milliseconds since 1970 → microseconds; a value over 10^14 is taken for microseconds already. */
export function millisToUs(time: number): number {
  return time > 1e14 ? time : time * 1000;
}

/** RFC 3339 with up to nine decimals → microseconds (cut, not rounded); NaN when it is no time. */
export function isoToUs(text: string): number {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return NaN;
  const micros = Number((match[2] ?? "").padEnd(6, "0").slice(0, 6));
  return Date.parse(`${match[1]}${match[3]}`) * 1000 + micros;
}

/** Seconds with decimals as text → microseconds, digit by digit; NaN when it is no time. */
export function secondsToUs(text: string): number {
  const match = /^(\d{1,11})(?:\.(\d+))?$/.exec(text);
  if (match === null) return NaN;
  return Number(match[1]) * 1_000_000 + Number((match[2] ?? "").padEnd(6, "0").slice(0, 6));
}
