/** What a configured feed is: the room's own form of one entry of `feeds`, ready to be sent to its thread. */
import type { PipelineOptions } from "../../market/pipeline.ts";
import type { TickBufferOptions } from "../../market/tick-buffer.ts";
import type { ThrottleStrategy } from "../../market/throttle.ts";
import { mappedVenue } from "./mapping-line.ts";
import type { MappingSpec } from "./mapping-spec.ts";
import { type Channel, type Venue, type VenueName, venueOf } from "./venue.ts";

export type PayloadForm = "json" | "binary";

export interface FeedSpec {
  /** Unique among the feeds; of a mapped venue also its name in topics. */
  readonly name: string;
  /** `mapping`: described by `mapping`. */
  readonly venue: VenueName | "mapping";
  readonly mapping: MappingSpec | null;
  /** The venue's own symbols. */
  readonly symbols: readonly string[];
  readonly channels: readonly Channel[];
  /** Instead of the venue's own address. */
  readonly url: string | null;
  /** A second line, kept open: what the first one misses comes from it. */
  readonly backupUrl: string | null;
  /** Instead of the venue's own; `{symbol}` stands for the symbol. */
  readonly snapshotUrl: string | null;
  readonly apiKey: string | null;
  readonly depth: BookDepth;
  /** A live book without updates for so long is stale. */
  readonly staleMs: number;
  /** Updates kept while a snapshot is awaited. */
  readonly joinUpdatesMax: number;
  /** A line that is behind the other for so long gives up its lead. */
  readonly failoverMs: number;
  readonly payload: PayloadForm;
  /** Also publishes every message as it came. */
  readonly raw: boolean;
  /** 0..4, of all events of the feed. */
  readonly priority: number;
  /** Quotes in a second for each symbol; `null`: all. */
  readonly quotesPerSecond: number | null;
  /** Trades in a second published for each symbol; `null`: all. */
  readonly tradesPerSecond: number | null;
  readonly throttle: ThrottleStrategy;
  readonly throttleBurst: number;
  /** Newest ticks of each symbol kept for queries; `null`: none. */
  readonly buffer: TickBufferOptions | null;
  readonly bufferAgeMs: number;
  /** 0: no checkpoints. */
  readonly checkpointMs: number;
  readonly pipeline: PipelineOptions;
}

export const BOOK_DEPTHS = [10, 25, 100, 500, 1000] as const;
export type BookDepth = (typeof BOOK_DEPTHS)[number];

/** The venue a feed speaks with. @throws {RangeError} If a mapped feed has no line (its configuration was not checked). */
export function venueOfSpec(spec: FeedSpec): Venue {
  const venue = knownVenue(spec);
  return { ...venue, book: { ...venue.book, bufferUpdatesMax: spec.joinUpdatesMax } };
}

function knownVenue({ name, venue, mapping, apiKey, depth }: FeedSpec): Venue {
  if (venue !== "mapping") return venueOf(venue, { ...(apiKey === null ? {} : { apiKey }), depth });
  if (mapping?.line === undefined) throw new RangeError(`Feed "${name}" has a mapping without a line`);
  return mappedVenue(name, mapping, mapping.line);
}
