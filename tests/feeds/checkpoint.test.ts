/** Figures that go on from a checkpoint say the same, byte by byte, as figures that were never interrupted. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { loadConfig } from "../../src/config/load.ts";
import { checkpointText, parseCheckpoint } from "../../src/ingest/feeds/checkpoint.ts";
import { readRecording } from "../../src/ingest/feeds/recording.ts";
import { Replay } from "../../src/ingest/feeds/replay.ts";
import type { SimulatedLine } from "../../src/ingest/feeds/simulator.ts";
import type { FeedSpec } from "../../src/ingest/feeds/spec.ts";
import { withRandom } from "../support/seed.ts";

const MARKET = join(import.meta.dir, "..", "fixtures", "market");
const RECORDINGS = [
  {
    feed: {
      venue: "binance-coinm",
      symbols: ["BTCUSD_PERP"],
      profile_row: "1",
      vpin_bucket: "50",
      flow: "1s",
      bars: ["1s", "5s", "250ms"],
    },
    files: ["binance-coinm/btcusd_perp_first3000.gz"],
    snapshotSymbol: "BTCUSD_PERP",
  },
  {
    feed: {
      venue: "coinbase",
      symbols: ["SKL-USD"],
      profile_row: "0.001",
      vpin_bucket: "0.5",
      bars: ["100ms", "1s", "5s"],
      bar_grace: "300ms",
    },
    files: ["coinbase-exchange/ws.gz"],
    snapshotSymbol: undefined,
  },
] as const;

function specOf(feed: object): FeedSpec {
  const { config } = loadConfig(JSON.stringify({ feeds: [feed] }), {
    file: "test",
    environment: {},
    readText: () => "",
  });
  const [spec] = config.feeds;
  if (spec === undefined) throw new Error("No feed");
  return spec;
}

/** Events of the lines, told by one replay, or by as many as there are points to break at. */
async function replayed(
  spec: FeedSpec,
  lines: readonly SimulatedLine[],
  breaks: readonly number[],
): Promise<string[]> {
  const told: string[] = [];
  let saved: string | undefined;
  let from = 0;
  for (const to of [...breaks, lines.length]) {
    const replay = new Replay(spec, (event) => told.push(JSON.stringify(event)));
    if (saved !== undefined) replay.passOver();
    for (const [at, line] of lines.slice(0, to).entries()) {
      await replay.take(line);
      const state = at + 1 === from ? parseCheckpoint(saved ?? "") : undefined;
      if (state !== undefined) replay.resume(state);
    }
    if (to === lines.length) replay.finish();
    saved = checkpointText(replay.save());
    from = to;
  }
  return told;
}

for (const { feed, files, snapshotSymbol } of RECORDINGS) {
  test(`${feed.venue}: a replay broken at random lines says the same as one that is whole`, async () => {
    await withRandom(async (random) => {
      const spec = specOf(feed);
      const lines = readRecording(files.map((file) => join(MARKET, file)), { snapshotSymbol });
      const whole = await replayed(spec, lines, []);
      const kinds = new Set(whole.map((event) => JSON.parse(event).topic.split(".").at(-1)));
      for (const kind of ["bar", "indicator", "pattern", "profile", "flow", "quality", "book_delta"]) {
        expect(kinds).toContain(kind);
      }
      const breaks = Array.from({ length: 4 }, () => random.between(1, lines.length - 1)).sort((a, b) =>
        a - b
      );
      const broken = await replayed(spec, lines, breaks);
      expect([breaks, broken.length]).toEqual([breaks, whole.length]);
      const different = whole.findIndex((event, at) => event !== broken[at]);
      expect([breaks, different, broken[different]]).toEqual([breaks, -1, undefined]);
    });
  }, 30_000);
}

test("a checkpoint with a flipped bit, or of another format, is none", () => {
  const text = checkpointText({ feed: "f", savedUs: 1, instruments: [] });
  expect(parseCheckpoint(text)).toEqual({ feed: "f", savedUs: 1, instruments: [] });
  expect(parseCheckpoint(text.replace('"savedUs":1', '"savedUs":3'))).toBeUndefined();
  expect(parseCheckpoint(text.replace('"format":1', '"format":9'))).toBeUndefined();
  expect(parseCheckpoint(text.slice(0, -1))).toBeUndefined();
  expect(parseCheckpoint("")).toBeUndefined();
});
