/**
 * Market data end to end: `esc feeds simulate` serves Binance COIN-M as fast as its client reads, `esc serve` makes of it
 * trades, quotes, books, bars and figures in its log; beside JSON.parse of the same texts in the same run.
 *
 * The figure counts only when the server's book ends as the simulator's last update says. CPU is of the server's
 * threads, from the kernel.
 *
 *     bun bench/market-line.ts [--lean] [recording.gz …]       needs dist/esc; --lean: no bars and figures
 */
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { EscServer, EXECUTABLE } from "../tests/support/esc.ts";

const ROUNDS = 3;
const CLOCK_TICKS = 100;
const DEFAULT_RECORDING = new URL(
  "../tests/fixtures/market/binance-coinm/btcusd_perp_first3000.gz",
  import.meta.url,
).pathname;

const isLean = process.argv.includes("--lean");
const names = process.argv.slice(2).filter((name) => !name.startsWith("--"));
const files = names.length === 0 ? [DEFAULT_RECORDING] : names;
const texts = files.flatMap((file) =>
  new TextDecoder().decode(Bun.gunzipSync(readFileSync(file))).trimEnd().split("\n").map((line) =>
    Buffer.from(line.slice(line.indexOf(" ") + 1)).toString("latin1")
  )
);
const lastUpdate = Number(
  /"u":(\d+)/.exec(texts.findLast((text) => text.includes("depthUpdate")) ?? "")?.[1],
);

console.log(
  `${cpus()[0]?.model ?? "unknown CPU"}, Bun ${Bun.version}, ${texts.length} messages, ${ROUNDS} rounds`,
);
for (let round = 0; round < ROUNDS; round++) {
  const parseStartNs = Bun.nanoseconds();
  for (const text of texts) JSON.parse(text);
  const parseRate = (texts.length * 1e9) / (Bun.nanoseconds() - parseStartNs);
  const { seconds, threads, log } = await run();
  const rate = Math.round(texts.length / seconds);
  const cpu = Object.entries(threads).filter(([, used]) => used > 0.02).map(([name, used]) =>
    `${name} ${((used * 1e6) / texts.length).toFixed(1)}`
  );
  console.log(
    `${rate} messages/s end to end (${seconds.toFixed(2)} s); JSON.parse alone ${Math.round(parseRate)}; ` +
      `us of CPU a message: ${cpu.join(", ")}; ${log}`,
  );
}

/** One run: seconds from the first message to the last update in the book. */
async function run(): Promise<{ seconds: number; threads: Record<string, number>; log: string }> {
  const simulator = Bun.spawn(
    [
      EXECUTABLE,
      "feeds",
      "simulate",
      ...files,
      "--venue=binance-coinm",
      "--snapshot-symbol=BTCUSD_PERP",
      "--speed=max",
      "--json",
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "ignore" },
  );
  const { url, snapshot_url } = JSON.parse(await firstLine(simulator.stdout));
  const feed = {
    venue: "binance-coinm",
    symbols: ["BTCUSD_PERP"],
    url,
    snapshot_url,
    join_updates: 100_000,
    ...(isLean
      ? { bars: ["1m"], indicators: false, patterns: false, flow: "0s", book_summary: "0s" }
      : { profile_row: "1" }),
  };
  const startMs = performance.now();
  const server = await EscServer.start({ config: { feeds: [feed] } });
  try {
    const book = server.url("/api/v1/market/books/binance-coinm/BTC-USD-PERP?levels=1");
    for (;;) {
      const response = await fetch(book);
      const state = response.status === 200 ? await response.json() : {};
      if (state.last_id === lastUpdate) break;
      await Bun.sleep(5);
    }
    const endMs = performance.now();
    const events = await (await fetch(server.url("/api/v1/market/feeds"))).json();
    const [line] = events.feeds[0].lines;
    const firstMs = Number(line.opened_us) / 1000 - performance.timeOrigin;
    const seconds = (endMs - (Number.isFinite(firstMs) ? firstMs : startMs)) / 1000;
    return { seconds, threads: cpuOf(server.pid), log: `${line.messages.ok} understood` };
  } finally {
    simulator.kill("SIGKILL");
    await server.remove();
  }
}

/** Seconds of CPU each thread of a process has used, by name; threads of one name are added up. */
function cpuOf(pid: number): Record<string, number> {
  const used: Record<string, number> = {};
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, "utf8");
    const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const seconds = (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
    used[name] = (used[name] ?? 0) + seconds;
  }
  return used;
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader();
  let text = "";
  while (!text.includes("\n")) text += new TextDecoder().decode((await reader.read()).value);
  return text;
}
