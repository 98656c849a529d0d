/**
 * Recordings of venues as files, plain or gzip.
 *
 *     messages      one a line: receive time in ns, a space, the text as the venue sent it
 *     REST answers  one a line, JSON: {"t_ns":…,"url":"…","body":"…"}; a text that begins with
 *                   {"lastUpdateId" among the messages is one as well, of the one symbol told
 */
import { readFileSync } from "node:fs";
import { EscError } from "../../errors.ts";
import { type DialectName, dialectOf } from "./dialects.ts";
import { isObject, numberOf, parseJson, textOf } from "./json.ts";
import { mappedVenue } from "./mapping-line.ts";
import { parseMapping } from "./mapping-spec.ts";
import bitstampMapping from "./mappings/bitstamp.yaml";
import type { SimulatedLine } from "./simulator.ts";
import { type Venue, VENUE_NAMES, venueOf } from "./venue.ts";

const SYMBOL_IN_URL = /(?:symbol=|order_book\/)([^&/?]+)/;

/** Reads the messages of the files in their order, and the REST answers into their places by time. */
export function readRecording(
  files: readonly string[],
  { restFile, snapshotSymbol }: { restFile?: string | undefined; snapshotSymbol?: string | undefined } = {},
): SimulatedLine[] {
  const lines = files.flatMap((file) =>
    linesOf(file).map((line, at) => messageLine(line, `${file}:${at + 1}`, snapshotSymbol))
  );
  if (restFile === undefined) return lines;
  const answers = linesOf(restFile).map((line, at) => restLine(line, `${restFile}:${at + 1}`));
  return [...lines, ...answers].sort((a, b) => a.receivedUs - b.receivedUs);
}

function messageLine(line: string, place: string, snapshotSymbol: string | undefined): SimulatedLine {
  const space = line.indexOf(" ");
  const nanoseconds = line.slice(0, space);
  if (space < 1 || !/^\d{10,20}$/.test(nanoseconds)) {
    throw new EscError("USAGE", `${place} is no line of a recording: <receive time in ns> <message>`);
  }
  const receivedUs = Number(BigInt(nanoseconds) / 1000n);
  const text = line.slice(space + 1);
  const isSnapshot = snapshotSymbol !== undefined && text.startsWith('{"lastUpdateId"');
  return isSnapshot ? { receivedUs, text, snapshotOf: snapshotSymbol } : { receivedUs, text };
}

function restLine(line: string, place: string): SimulatedLine {
  const answer = parseJson(line);
  const symbol = isObject(answer) ? SYMBOL_IN_URL.exec(textOf(answer.url))?.[1] : undefined;
  if (!isObject(answer) || symbol === undefined || typeof answer.body !== "string") {
    throw new EscError("USAGE", `${place} is no REST answer with t_ns, body and a url that names a symbol`);
  }
  return { receivedUs: Math.floor(numberOf(answer.t_ns) / 1000), text: answer.body, snapshotOf: symbol };
}

function linesOf(file: string): string[] {
  try {
    const bytes = readFileSync(file);
    const plain = file.endsWith(".gz") ? Bun.gunzipSync(bytes) : bytes;
    return new TextDecoder().decode(plain).trimEnd().split("\n");
  } catch (cause) {
    throw new EscError("USAGE", `Cannot read recording ${file}`, { cause });
  }
}

/** Venues that can be simulated and replayed from files. */
export const RECORDED_VENUES = [...VENUE_NAMES, "bitstamp"] as const;
export type RecordedVenueName = (typeof RECORDED_VENUES)[number];

/** The venue of a recording, and how it speaks as a server, where that is known. */
export function recordedVenue(
  name: RecordedVenueName,
  depth: 10 | 25 | 100 | 500 | 1000,
): { readonly venue: Venue; readonly dialect: DialectName | undefined } {
  const dialect = dialectOf(name);
  if (name !== "bitstamp") return { venue: venueOf(name, { depth }), dialect };
  const mapping = parseMapping(bitstampMapping);
  if (mapping.line === undefined) throw new RangeError("The mapping of Bitstamp has no line");
  return { venue: mappedVenue("bitstamp", mapping, mapping.line), dialect };
}
