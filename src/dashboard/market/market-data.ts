/** What the market page knows of one instrument: bars, profile and quality, as the server's events tell. */
import type { EventView } from "../parts/event-detail.tsx";

/** Numbers are texts, exact; they become doubles only to be drawn. */
export interface Bar {
  readonly start_us: number;
  readonly interval_ms: number;
  readonly open: string;
  readonly high: string;
  readonly low: string;
  readonly close: string;
  readonly volume: string;
  readonly vwap?: string;
  readonly trades: number;
  readonly incomplete?: boolean;
}

export interface Profile {
  readonly row: string;
  readonly volume: string;
  /** Row with the greatest volume, and the edges of the value area. */
  readonly poc: string;
  readonly vah: string;
  readonly val: string;
  /** Row, volume, bought, sold; greatest volume first. */
  readonly top: readonly (readonly [string, string, string, string])[];
}

export interface Quality {
  readonly score: number;
  readonly completeness: number;
  readonly timeliness: number;
  readonly accuracy: number;
  readonly consistency: number;
  readonly freshness: string;
  readonly health: string;
  readonly alerting: boolean;
  readonly counts: Readonly<Record<string, number>>;
}

export interface Book {
  readonly state: string;
  readonly grade?: string;
  readonly mid?: string;
  readonly spread?: string;
  readonly spread_bps?: number;
  readonly microprice?: string;
  readonly imbalance_10?: number;
  readonly updates: number;
  readonly gaps: number;
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
}
export type Level = readonly [price: string, quantity: string];

export interface Instrument {
  /** By interval in milliseconds, ascending by start. */
  readonly bars: ReadonlyMap<number, readonly Bar[]>;
  readonly profile: Profile | undefined;
  readonly quality: Quality | undefined;
}

export const NOTHING: Instrument = { bars: new Map(), profile: undefined, quality: undefined };

/** Bars kept of each interval. */
const BARS_MAX = 600;

/** The instrument after some more events. Those that are not of its market data are left out. */
export function learn(before: Instrument, events: readonly EventView[]): Instrument {
  const bars = new Map(before.bars);
  let { profile, quality } = before;
  for (const { payload, encoding } of events) {
    const message = encoding === undefined ? parse(payload) : undefined;
    if (isBar(message)) addBar(bars, message);
    else if (isProfile(message)) profile = message;
    else if (isQuality(message)) quality = message;
  }
  return { bars, profile, quality };
}

function parse(payload: string): unknown {
  try {
    return JSON.parse(payload);
  } catch {
    return undefined;
  }
}

// Anybody who may publish can write to these topics: what is not as the feeds write it is left out.

function isBar(value: unknown): value is Bar {
  return isOf(value, "bar", ["start_us", "interval_ms", "trades"], [
    "open",
    "high",
    "low",
    "close",
    "volume",
  ]);
}

function isProfile(value: unknown): value is Profile {
  return isOf(value, "profile", [], ["row", "volume", "poc", "vah", "val"]) && "top" in value &&
    Array.isArray(value.top) &&
    value.top.every((row) =>
      Array.isArray(row) && row.length === 4 && row.every((part) => typeof part === "string")
    );
}

function isQuality(value: unknown): value is Quality {
  const numbers = ["score", "completeness", "timeliness", "accuracy", "consistency"];
  return isOf(value, "quality", numbers, ["freshness", "health"]) && "counts" in value &&
    Object.values(Object(value.counts)).every((count) => typeof count === "number");
}

function isOf(
  value: unknown,
  kind: string,
  numbers: readonly string[],
  texts: readonly string[],
): value is object {
  if (typeof value !== "object" || value === null) return false;
  const fields = new Map<string, unknown>(Object.entries(value));
  return fields.get("kind") === kind && numbers.every((name) => typeof fields.get(name) === "number") &&
    texts.every((name) => typeof fields.get(name) === "string");
}

/** A correction takes the place of what it corrects. */
function addBar(bars: Map<number, readonly Bar[]>, bar: Bar): void {
  const kept = bars.get(bar.interval_ms) ?? [];
  const last = kept.at(-1);
  if (last === undefined || last.start_us < bar.start_us) {
    bars.set(bar.interval_ms, [...kept.slice(1 - BARS_MAX), bar]);
  } else {
    const others = kept.filter(({ start_us }) => start_us !== bar.start_us);
    bars.set(bar.interval_ms, [...others, bar].sort((a, b) => a.start_us - b.start_us).slice(-BARS_MAX));
  }
}
