/** Recorded messages of real venues as lines, from the repository's samples and from the whole recordings if there. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..", "..");
const SAMPLES = join(ROOT, "tests", "fixtures", "market");
/** The whole recordings; not beside every clone. */
const RECORDINGS = join(ROOT, "..", "shared", "market-data");

/** One recording: message texts, byte for byte as the venue sent them. */
export interface Recording {
  readonly topic: string;
  /** Every message and a line feed. */
  readonly bytes: Buffer;
  readonly count: number;
}

const SAMPLE_FILES = [
  "binance-spot/btcusdt_first3000.gz",
  "binance-usdm/btcusdt_first3000.gz",
  "binance-coinm/btcusd_perp_first3000.gz",
  "binance-spot-2021/ws.gz",
  "bitstamp/ws.gz",
  "coinbase-exchange/ws.gz",
  "kraken-v1/book.gz",
  "okx-v5/ws.gz",
];

const WHOLE_FILES = [
  "binance-spot/btcusdt_20240808.gz",
  "binance-spot/btcusdt_20240809.gz",
  "binance-usdm/btcusdt_20240808.gz",
  "binance-coinm/btcusd_perp_20240808.gz",
  "binance-coinm/btcusd_perp_20240809.gz",
];

/** The samples that come with the repository. */
export function sampleRecordings(): Recording[] {
  return SAMPLE_FILES.map((path) => readRecording(SAMPLES, path));
}

/** The whole recordings, or `undefined` where there are none. */
export function wholeRecordings(): Recording[] | undefined {
  if (!existsSync(RECORDINGS)) return undefined;
  return WHOLE_FILES.map((path) => readRecording(RECORDINGS, path));
}

/** A line of a recording is `<receive time, ns> <message>`. */
function readRecording(root: string, path: string): Recording {
  const lines = Bun.gunzipSync(readFileSync(join(root, path)));
  const text = Buffer.from(lines).toString("latin1");
  const messages = text.replaceAll(/^\d+ /gm, "");
  return {
    topic: `market.${path.replace(/\.gz$/, "").replace("/", ".")}`,
    bytes: Buffer.from(messages.endsWith("\n") ? messages : `${messages}\n`, "latin1"),
    count: messages.trimEnd().split("\n").length,
  };
}
