/**
 * The four example handlers of the original engine, with its limits.
 *
 *     temperature  > 150 invalid, > 100 CRITICAL, > 80 WARNING
 *     pressure     > 200 EMERGENCY, > 150 WARNING
 *     payment      amount u32 little-endian in the first 4 bytes: 0 and > 1,000,000 are invalid
 *     audit        anything but nothing
 */
import type { EventRecord } from "../rules/event-facts.ts";
import { type BuiltinHandler, type Outcome, SUCCESS } from "./outcome.ts";

const PAYMENT_BYTES_MIN = 4;
const AMOUNT_MAX = 1_000_000;

/** A reading: JSON that is a number, or a map with the number under `field` or `value`. NaN when it is neither. */
function readingOf(event: EventRecord, field: string): number {
  const { payload } = event;
  if (typeof payload === "number") return payload;
  if (typeof payload !== "object" || payload === null) return NaN;
  const fields = payload as Readonly<Record<string, unknown>>;
  const value = fields[field] ?? fields["value"];
  return typeof value === "number" ? value : NaN;
}

function alert(severity: "WARNING" | "CRITICAL" | "EMERGENCY", message: string): Outcome {
  return { kind: "alert", severity, message };
}

const temperature: BuiltinHandler = {
  validate(event) {
    const value = readingOf(event, "temperature");
    if (Number.isNaN(value)) return "The payload has no temperature";
    return value > 150 ? `Temperature ${value} is above 150` : undefined;
  },
  handle(event) {
    const value = readingOf(event, "temperature");
    if (value > 100) return alert("CRITICAL", `Temperature ${value} is above 100`);
    return value > 80 ? alert("WARNING", `Temperature ${value} is above 80`) : SUCCESS;
  },
};

const pressure: BuiltinHandler = {
  validate(event) {
    return Number.isNaN(readingOf(event, "pressure")) ? "The payload has no pressure" : undefined;
  },
  handle(event) {
    const value = readingOf(event, "pressure");
    if (value > 200) return alert("EMERGENCY", `Pressure ${value} is above 200`);
    return value > 150 ? alert("WARNING", `Pressure ${value} is above 150`) : SUCCESS;
  },
};

const payment: BuiltinHandler = {
  validate({ payloadBytes }) {
    if (payloadBytes.length < PAYMENT_BYTES_MIN) {
      return `Payment of ${payloadBytes.length} bytes has no amount`;
    }
    const amount = new DataView(payloadBytes.buffer, payloadBytes.byteOffset, payloadBytes.length)
      .getUint32(0, true);
    if (amount === 0) return "Payment of nothing";
    return amount > AMOUNT_MAX ? `Payment of ${amount} is above ${AMOUNT_MAX}` : undefined;
  },
  handle: () => SUCCESS,
};

const audit: BuiltinHandler = {
  validate: ({ payloadBytes }) => payloadBytes.length === 0 ? "Audit record is empty" : undefined,
  handle: () => SUCCESS,
};

/** By name, as the configuration has it. */
export const BUILTIN_HANDLERS = { temperature, pressure, payment, audit } as const satisfies Readonly<
  Record<string, BuiltinHandler>
>;
export type BuiltinName = keyof typeof BUILTIN_HANDLERS;
export const BUILTIN_NAMES = Object.keys(BUILTIN_HANDLERS) as readonly BuiltinName[];
