/** Simulated venues for tests of the executable: recordings served over WebSocket and REST by the test's own process. */
import { type DialectName, DIALECTS } from "../../src/ingest/feeds/dialects.ts";
import { mappedVenue } from "../../src/ingest/feeds/mapping-line.ts";
import { parseMapping } from "../../src/ingest/feeds/mapping-spec.ts";
import bitstampYaml from "../../src/ingest/feeds/mappings/bitstamp.yaml";
import { type Fault, type SimulatedLine, Simulator } from "../../src/ingest/feeds/simulator.ts";
import type { BookDepth } from "../../src/ingest/feeds/spec.ts";
import { type Venue, type VenueName, venueOf } from "../../src/ingest/feeds/venue.ts";
import { readRecording, readRest } from "../feeds/recordings.ts";

export interface RecordedVenue {
  readonly dialect: DialectName;
  /** Name in the configuration. */
  readonly venue: VenueName | "mapping";
  readonly files: readonly string[];
  readonly rest?: string;
  /** Of snapshots that lie between the messages. */
  readonly snapshotSymbol?: string;
}

/** The lines of a recording, REST answers in their places. */
export async function recordedLines(venue: RecordedVenue): Promise<SimulatedLine[]> {
  const lines: SimulatedLine[] = (await readRecording(...venue.files)).map(({ text, receivedUs }) =>
    venue.snapshotSymbol !== undefined && text.startsWith('{"lastUpdateId"')
      ? { text, receivedUs, snapshotOf: venue.snapshotSymbol }
      : { text, receivedUs }
  );
  // Files of one moment are of several lines to the venue; the sort keeps the order of equal times.
  if (venue.rest === undefined) return lines.sort((a, b) => a.receivedUs - b.receivedUs);
  const answers = (await readRest(venue.rest)).map(({ receivedUs, body, url }) => ({
    receivedUs,
    text: body,
    snapshotOf: /(?:symbol=|order_book\/)(\w+)/.exec(url)?.[1] ?? "",
  }));
  return [...lines, ...answers].sort((a, b) => a.receivedUs - b.receivedUs);
}

/** Serves the lines on a free loopback port. */
export function simulate(
  { dialect, venue }: RecordedVenue,
  lines: readonly SimulatedLine[],
  options: {
    faults?: readonly Fault[];
    port?: number;
    speed?: number;
    depth?: BookDepth;
    before?: (at: number) => Promise<void> | undefined;
  } = {},
): Simulator {
  const { depth = 1000, ...rest } = options;
  const known = venueFor(venue, depth);
  return new Simulator({
    lines,
    dialect: DIALECTS[dialect],
    makeDecoder: (sink) => known.makeDecoder(sink),
    book: { ...known.book, bufferUpdatesMax: 100_000 },
    ...rest,
  });
}

function venueFor(name: VenueName | "mapping", depth: BookDepth): Venue {
  if (name !== "mapping") return venueOf(name, { depth });
  const mapping = parseMapping(bitstampYaml);
  if (mapping.line === undefined) throw new Error("The mapping has no line");
  return mappedVenue("bitstamp", mapping, mapping.line);
}

/** A feed in the form of the configuration, connected to the simulator. */
export function feedTo(
  simulator: Simulator,
  { venue }: RecordedVenue,
  symbols: readonly string[],
  more = {},
) {
  return {
    venue,
    ...(venue === "mapping" ? { mapping: "bitstamp" } : {}),
    symbols,
    url: simulator.url,
    snapshot_url: simulator.snapshotUrl("SYMBOL").replace("SYMBOL", "{symbol}"),
    depth: 1000,
    // As fast as it can, the simulator sends more than the usual number while a snapshot is on its way.
    join_updates: 100_000,
    ...more,
  };
}
