/** `esc replay` and `esc feeds simulate`, as commands of the executable. */
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { readExpected } from "../feeds/recordings.ts";
import { EscServer, EXECUTABLE, runEsc } from "../support/esc.ts";
import { FollowedBook } from "./followed-book.ts";
import { queryEvents } from "./read-log.ts";

const MARKET = join(import.meta.dir, "..", "fixtures", "market");

interface PrintedEvent {
  readonly topic: string;
  readonly payload: string;
}

async function replay(...args: string[]): Promise<{ stdout: string; events: PrintedEvent[] }> {
  const { status, stdout, stderr } = await runEsc(["replay", "recording", ...args, "--speed=max"]);
  expect([status, stderr.includes("events")]).toEqual([0, true]);
  return { stdout, events: stdout.trimEnd().split("\n").map((line) => JSON.parse(line)) };
}

interface ExpectedBooks {
  readonly [symbol: string]: { readonly book: { readonly tob_series_sha256: string } };
}

for (
  const [venue, file, rest, set, byId] of [
    ["okx", "okx-v5/ws.gz", undefined, "okx-v5", false],
    ["binance", "binance-spot-2021/ws.gz", "binance-spot-2021/rest.jsonl.gz", "binance-spot-2021", true],
    ["kraken-v1", "kraken-v1/book.gz", undefined, "kraken-v1", false],
  ] as const
) {
  test(`replay of ${set} gives the expected series, and the same bytes twice`, async () => {
    const args = [
      join(MARKET, file),
      `--venue=${venue}`,
      ...(rest === undefined ? [] : [`--rest=${join(MARKET, rest)}`]),
    ];
    const first = await replay(...args);
    const second = await replay(...args);
    const hash = (text: string) => createHash("sha256").update(text).digest("hex");
    expect(hash(second.stdout)).toBe(hash(first.stdout));
    const expected = (await readExpected(set)) as ExpectedBooks;
    const books = new Map<string, FollowedBook>();
    for (const { topic, payload } of first.events) {
      if (!/\.book_(snapshot|delta)$/.test(topic)) continue;
      const symbol = topic.split(".")[2] ?? "";
      const book = books.get(symbol) ?? new FollowedBook();
      books.set(symbol, book);
      book.take(JSON.parse(payload), byId);
    }
    const series = [...books.values()].map((book) => book.sha256()).sort();
    expect(series).toEqual(Object.values(expected).map(({ book }) => book.tob_series_sha256).sort());
  }, 30_000);
}

test("feeds simulate serves a recording that a server's feed reads; replay log prints it again", async () => {
  const simulator = Bun.spawn(
    [EXECUTABLE, "feeds", "simulate", join(MARKET, "okx-v5/ws.gz"), "--venue=okx", "--speed=max", "--json"],
    { stdin: "ignore", stdout: "pipe", stderr: "ignore" },
  );
  const lines = linesOf(simulator.stdout);
  const { url } = JSON.parse((await lines.next()).value ?? "{}");
  const server = await EscServer.start({
    config: { feeds: [{ venue: "okx", symbols: ["BTC-USDT"], url, join_updates: 100_000 }] },
  });
  try {
    const topic = "market.okx.BTC-USDT.book_delta";
    let count = 0;
    for (let left = 500; left > 0 && count < 97; left--) {
      await Bun.sleep(10);
      count = (await queryEvents(server, topic)).length;
    }
    expect(count).toBe(97);
    const { status, stdout } = await runEsc([
      "replay",
      "log",
      topic,
      `--http-port=${server.httpPort}`,
      "--speed=max",
    ]);
    expect([status, stdout.trimEnd().split("\n").length]).toEqual([0, 97]);
    simulator.kill("SIGTERM");
    expect(JSON.parse((await lines.next()).value ?? "{}").sent).toBeGreaterThan(97);
    expect(await simulator.exited).toBe(0);
  } finally {
    simulator.kill("SIGKILL");
    await server.remove();
  }
}, 30_000);

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
  return undefined;
}
