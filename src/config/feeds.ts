/** `feeds` of the checked file, and its way back into the file's form. */
import { parse } from "yaml";
import { PRIORITY_NAMES } from "../event/frame.ts";
import { parseDecimal } from "../book/decimal.ts";
import bitstampMapping from "../ingest/feeds/mappings/bitstamp.yaml";
import { type MappingSpec, parseMapping } from "../ingest/feeds/mapping-spec.ts";
import { BOOK_DEPTHS, type FeedSpec } from "../ingest/feeds/spec.ts";
import type { Document } from "./document.ts";
import type { Report } from "./problems.ts";
import type { CheckedFile } from "./schema.ts";
import { formatDuration } from "./units.ts";

/** One feed, with the file of its mapping, which is what the user wrote. */
export interface FeedConfig extends FeedSpec {
  readonly mappingFile: string | null;
}

type CheckedFeed = CheckedFile["feeds"][number];

/** The feeds; what is wrong with one goes to `report`. */
export function feedsConfig(
  feeds: CheckedFile["feeds"],
  readText: (path: string) => string,
  report: Report,
): FeedConfig[] {
  const names = new Set<string>();
  return feeds.map((feed, index) => {
    const at = (key: string, message: string) => report(["feeds", index, key], message);
    const name = feed.name ?? (feed.venue === "mapping" ? feed.mapping : feed.venue) ?? "feed";
    if (!/^[A-Za-z0-9_-]{1,32}$/.test(name)) {
      at("name", `"${name}" cannot stand in a topic: give a name of letters, digits, - and _`);
    }
    if (names.has(name)) at("name", `two feeds are named "${name}"; give one of them another name`);
    names.add(name);
    if (feed.symbols.length === 0) at("symbols", "a feed needs at least one symbol");
    if (feed.venue === "twelvedata" && feed.api_key === null) at("api_key", "twelvedata needs an api_key");
    const row = feed.profile_row === null ? undefined : parseDecimal(feed.profile_row);
    if (feed.profile_row !== null && !(row !== undefined && row.mantissa > 0)) {
      at("profile_row", `"${feed.profile_row}" is no price above 0`);
    }
    const bucket = feed.vpin_bucket === null ? undefined : parseDecimal(feed.vpin_bucket);
    if (feed.vpin_bucket !== null && !(bucket !== undefined && bucket.mantissa > 0)) {
      at("vpin_bucket", `"${feed.vpin_bucket}" is no volume above 0`);
    }
    if (feed.buffer_compress && !["fifo", "time_based"].includes(feed.buffer_strategy)) {
      at("buffer_compress", `cannot compress a buffer of strategy ${feed.buffer_strategy}: use fifo`);
    }
    for (const key of ["url", "backup_url"] as const) {
      const url = feed[key];
      if (url !== null && !/^wss?:$/.test(URL.parse(url)?.protocol ?? "")) {
        at(key, "must be a ws:// or wss:// URL");
      }
    }
    return feedConfig(feed, name, mappingOf(feed, readText, at));
  });
}

function mappingOf(
  feed: CheckedFeed,
  readText: (path: string) => string,
  at: (key: string, message: string) => void,
): MappingSpec | null {
  if (feed.venue !== "mapping") {
    if (feed.mapping !== null) {
      at("mapping", `venue ${feed.venue} is known; use venue: mapping to describe one`);
    }
    return null;
  }
  if (feed.mapping === null) {
    at("mapping", "venue mapping needs the file that describes the venue");
    return null;
  }
  try {
    const text = feed.mapping === "bitstamp" ? bitstampMapping : parse(readText(feed.mapping));
    const mapping = parseMapping(text);
    if (mapping.line === undefined) at("mapping", "the mapping has no section `line`: where to connect");
    return mapping;
  } catch (error) {
    at("mapping", error instanceof Error ? error.message : String(error));
    return null;
  }
}

function feedConfig(feed: CheckedFeed, name: string, mapping: MappingSpec | null): FeedConfig {
  return {
    name,
    venue: feed.venue,
    mapping,
    mappingFile: feed.mapping,
    symbols: feed.symbols,
    channels: [...new Set(feed.channels)],
    url: feed.url,
    backupUrl: feed.backup_url,
    snapshotUrl: feed.snapshot_url,
    apiKey: feed.api_key,
    depth: BOOK_DEPTHS.find((depth) => String(depth) === feed.depth) ?? 100,
    staleMs: feed.stale,
    joinUpdatesMax: feed.join_updates,
    failoverMs: feed.failover,
    payload: feed.payload,
    raw: feed.raw,
    priority: feed.priority,
    quotesPerSecond: feed.quotes_per_second,
    tradesPerSecond: feed.trades_per_second,
    throttle: feed.throttle,
    throttleBurst: feed.throttle_burst,
    buffer: feed.buffer_size === null ? null : {
      countMax: feed.buffer_size,
      ageMaxUs: feed.buffer_age * 1000,
      strategy: feed.buffer_strategy,
      compress: feed.buffer_compress,
    },
    bufferAgeMs: feed.buffer_age,
    checkpointMs: feed.checkpoint,
    pipeline: {
      intervalsMs: [...new Set(feed.bars)].sort((a, b) => a - b),
      barPrice: feed.bar_price,
      graceMs: feed.bar_grace,
      idleMs: feed.bar_idle,
      indicators: feed.indicators,
      patterns: feed.patterns,
      profileRow: feed.profile_row,
      sessionStartMs: feed.session_start,
      flowMs: feed.flow,
      vpinBucket: feed.vpin_bucket,
      qualityMs: feed.quality,
      qualityAlert: feed.quality_alert,
      bookSummaryMs: feed.book_summary,
    },
  };
}

/** The feeds in the form of the file, complete. */
export function feedsDocument(feeds: readonly FeedConfig[]): Document[] {
  return feeds.map((feed) => ({
    name: feed.name,
    venue: feed.venue,
    mapping: feed.mappingFile ?? "none",
    symbols: feed.symbols,
    channels: feed.channels,
    url: feed.url ?? "none",
    backup_url: feed.backupUrl ?? "none",
    snapshot_url: feed.snapshotUrl ?? "none",
    api_key: feed.apiKey ?? "none",
    depth: String(feed.depth),
    stale: formatDuration(feed.staleMs),
    join_updates: feed.joinUpdatesMax,
    failover: formatDuration(feed.failoverMs),
    payload: feed.payload,
    raw: feed.raw,
    priority: PRIORITY_NAMES[feed.priority] ?? String(feed.priority),
    quotes_per_second: feed.quotesPerSecond ?? "none",
    trades_per_second: feed.tradesPerSecond ?? "none",
    throttle: feed.throttle,
    throttle_burst: feed.throttleBurst,
    buffer_size: feed.buffer?.countMax ?? "none",
    buffer_age: formatDuration(feed.bufferAgeMs),
    buffer_strategy: feed.buffer?.strategy ?? "fifo",
    buffer_compress: feed.buffer?.compress ?? false,
    bars: feed.pipeline.intervalsMs.map(formatDuration),
    bar_price: feed.pipeline.barPrice,
    bar_grace: formatDuration(feed.pipeline.graceMs),
    bar_idle: formatDuration(feed.pipeline.idleMs),
    indicators: feed.pipeline.indicators,
    patterns: feed.pipeline.patterns,
    profile_row: feed.pipeline.profileRow ?? "none",
    session_start: formatDuration(feed.pipeline.sessionStartMs),
    flow: formatDuration(feed.pipeline.flowMs),
    vpin_bucket: feed.pipeline.vpinBucket ?? "none",
    quality: formatDuration(feed.pipeline.qualityMs),
    quality_alert: feed.pipeline.qualityAlert,
    checkpoint: formatDuration(feed.checkpointMs),
    book_summary: formatDuration(feed.pipeline.bookSummaryMs),
  }));
}
