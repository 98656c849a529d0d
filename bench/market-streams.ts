/**
 * Fifty streams of trades at 10,000 messages a second through the executable: CPU and growth of memory; then how long
 * a cut line takes to come back, and how long a second line takes to lead.
 *
 * Every trade sent must be in the figures before anything is printed.
 *
 *     bun bench/market-streams.ts [seconds]       default 20; needs dist/esc
 */
import { readFileSync } from "node:fs";
import type { ServerWebSocket } from "bun";
import { EscServer } from "../tests/support/esc.ts";

const SYMBOLS = Array.from({ length: 50 }, (_, at) => `C${String(at).padStart(2, "0")}USDT`);
const PER_SECOND = 10_000;
const STEP_MS = 10;
const CUTS = 12;
const CLOCK_TICKS = 100;
const seconds = Number(process.argv[2] ?? 20);

/** A venue that speaks like Binance: trades of all symbols in turn. */
class Venue {
  readonly sockets = new Set<ServerWebSocket<undefined>>();
  sentCount = 0;
  onSubscribe: () => void = () => {};
  readonly #server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request, server) => server.upgrade(request) ? undefined : new Response("", { status: 404 }),
    websocket: {
      message: (socket, text) => {
        if (!String(text).includes("SUBSCRIBE")) return;
        socket.send('{"result":null,"id":1}');
        this.sockets.add(socket);
        this.onSubscribe();
      },
      close: (socket) => void this.sockets.delete(socket),
    },
  });

  get url(): string {
    return `ws://127.0.0.1:${this.#server.port}/`;
  }

  send(count: number): void {
    const now = Date.now();
    const texts: string[] = [];
    for (let at = 0; at < count; at++, this.sentCount++) {
      const symbol = SYMBOLS[this.sentCount % SYMBOLS.length] ?? "";
      const id = Math.floor(this.sentCount / SYMBOLS.length) + 1;
      const price = (100 + (this.sentCount % 977) / 100).toFixed(2);
      texts.push(
        `{"stream":"${symbol.toLowerCase()}@trade","data":{"e":"trade","E":${now},"s":"${symbol}","t":${id},` +
          `"p":"${price}","q":"0.5","T":${now},"m":${id % 2 === 0}}}`,
      );
    }
    for (const socket of this.sockets) {
      socket.cork(() => {
        for (const text of texts) socket.send(text);
      });
    }
  }

  cut(): void {
    for (const socket of this.sockets) socket.close();
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }
}

const feed = (url: string, more: object = {}) => ({
  venue: "binance",
  symbols: SYMBOLS,
  channels: ["trades"],
  url,
  ...more,
});

const venue = new Venue();
const subscribed = new Promise<void>((resolve) => (venue.onSubscribe = resolve));
const server = await EscServer.start({ config: { feeds: [feed(venue.url)] } });
await subscribed;
await sendFor(3); // warm
const before = usage(server.pid);
const startMs = performance.now();
const sentBefore = venue.sentCount;
await sendFor(seconds);
const tookS = (performance.now() - startMs) / 1000;
const after = usage(server.pid);
await until(async () => await tradesOf(server) === venue.sentCount);
console.log(
  `${SYMBOLS.length} streams, ${Math.round((venue.sentCount - sentBefore) / tookS)} messages/s for ${
    tookS.toFixed(0)
  } s, ` +
    `${venue.sentCount} trades all in the figures: ${
      (((after.cpuS - before.cpuS) / tookS) * 100).toFixed(0)
    } % of a core, ` +
    `RSS ${before.rssMiB.toFixed(0)} -> ${after.rssMiB.toFixed(0)} MiB`,
);

const backMs: number[] = [];
for (let cut = 0; cut < CUTS; cut++) {
  const back = new Promise<void>((resolve) => (venue.onSubscribe = resolve));
  const atMs = performance.now();
  venue.cut();
  await back;
  backMs.push(performance.now() - atMs);
  await sendFor(0.2); // only data prove a line
}
console.log(`reconnect after a cut, ms, ${CUTS} times: ${told(backMs)}`);
await server.remove();
await venue.stop();

const overMs: number[] = [];
for (let round = 0; round < 4; round++) {
  const [primary, backup] = [new Venue(), new Venue()];
  const pair = await EscServer.start({ config: { feeds: [feed(primary.url, { backup_url: backup.url })] } });
  await until(() => Promise.resolve(primary.sockets.size === 1 && backup.sockets.size === 1));
  await Promise.all([sendFor(0.5, primary), sendFor(0.5, backup)]);
  const atUs = Date.now() * 1000;
  await primary.stop();
  await until(async () => (await statesOf(pair)).some(({ event }) => event === "leads"));
  const lead = (await statesOf(pair)).find(({ event }) => event === "leads");
  overMs.push(((lead?.time_us ?? NaN) - atUs) / 1000);
  await pair.remove();
  await backup.stop();
}
console.log(`second line leads after the first is gone, ms, ${overMs.length} times: ${told(overMs)}`);

async function sendFor(forSeconds: number, to: Venue = venue): Promise<void> {
  const endMs = performance.now() + forSeconds * 1000;
  let dueMs = performance.now();
  while (performance.now() < endMs) {
    to.send((PER_SECOND * STEP_MS) / 1000);
    dueMs += STEP_MS;
    await Bun.sleep(Math.max(0, dueMs - performance.now()));
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let left = 3000; left > 0; left--) {
    if (await holds()) return;
    await Bun.sleep(10);
  }
  throw new Error("Waited in vain");
}

/** Trades in the open and closed bars of the longest interval, all symbols. */
async function tradesOf(from: EscServer): Promise<number> {
  let sum = 0;
  for (const symbol of SYMBOLS) {
    const path = `/api/v1/market/bars/binance/${symbol}?interval_ms=300000`;
    const { bars } = await (await fetch(from.url(path))).json();
    for (const { trades } of bars) sum += trades;
  }
  return sum;
}

async function statesOf(from: EscServer): Promise<{ event: string; time_us: number }[]> {
  const answer = await (await fetch(from.url("/api/v1/events?topic=market.binance.state&limit=1000"))).json();
  return answer.events.map(({ payload }: { payload: string }) => JSON.parse(payload));
}

function usage(pid: number): { cpuS: number; rssMiB: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return {
    cpuS: (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS,
    rssMiB: (Number(fields[21]) * 4096) / 2 ** 20,
  };
}

function told(list: readonly number[]): string {
  const sorted = list.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? NaN);
  return `min ${at(0)}, median ${at(0.5)}, max ${at(1)}`;
}
