/**
 * Drill: one NDJSON body of any size, through the executable. `bun tests/e2e/ndjson-flood.ts [--bytes N]`; ends with 1
 * when an event is missing or the server's memory grows with the body. A first body touches the queues and caches that
 * every load touches; the growth is that beside the second.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { EscServer } from "../support/esc.ts";

const { values } = parseArgs({ options: { bytes: { type: "string", default: String(200 * 2 ** 20) } } });
const WARM_UP_BYTES = 40 * 2 ** 20;
/** What the results of 100,000 events, their JSON, and heaps that breathe may take. */
const GROWTH_BYTES_MAX = 256 * 2 ** 20;
const LOOK_MS = 50;
const CHUNK_BYTES = 64 * 1024;
const FILLING = "x".repeat(400);

const server = await EscServer.start();
const residentBytes = () =>
  Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1]) * 1024;

/** Sends one body as it is made. */
async function flood(bytesWanted: number) {
  let sentBytes = 0;
  let sentCount = 0;
  let peakBytes = residentBytes();
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      let text = "";
      while (text.length < CHUNK_BYTES) {
        text += `{"topic":"flood","priority":2,"payload":"${sentCount++} ${FILLING}"}\n`;
      }
      sentBytes += text.length;
      controller.enqueue(Buffer.from(text));
      if (sentBytes >= bytesWanted) controller.close();
    },
  });
  const timer = setInterval(() => peakBytes = Math.max(peakBytes, residentBytes()), LOOK_MS);
  const startMs = performance.now();
  const headers = { "content-type": "application/x-ndjson" };
  const response = await fetch(server.url("/api/v1/publish"), { method: "POST", headers, body });
  const { published, failed } = await response.json() as { published: number; failed: number };
  clearInterval(timer);
  return {
    sentBytes,
    sentCount,
    published,
    failed,
    peakBytes,
    seconds: (performance.now() - startMs) / 1000,
  };
}

const warmUp = await flood(WARM_UP_BYTES);
const told = await flood(Number(values.bytes));
const stats = await (await fetch(server.url("/api/v1/stats"))).json() as { events: { durable: number } };
await server.remove();
const grown = told.peakBytes - warmUp.peakBytes;
const isComplete = told.published === told.sentCount && told.failed === 0 &&
  stats.events.durable === told.sentCount + warmUp.sentCount;
const isOk = isComplete && grown < GROWTH_BYTES_MAX;
console.log(
  `${(told.sentBytes / 2 ** 20).toFixed(0)} MiB, ${told.sentCount} events in ${told.seconds.toFixed(1)} s: ` +
    `${told.published} published and durable, ${told.failed} failed; memory at most ` +
    `${(grown / 2 ** 20).toFixed(0)} MiB above that beside a body of ${WARM_UP_BYTES / 2 ** 20} MiB`,
);
process.exit(isOk ? 0 : 1);
