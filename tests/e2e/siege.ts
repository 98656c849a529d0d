/**
 * Drill: what a healthy client notices of others that stall, idle and flood. `bun tests/e2e/siege.ts
 * [--seconds N]`; prints one line a load, and ends with 1 when a bound is broken.
 *
 * The healthy client publishes one event at a time, durable, and waits for its acknowledgement; a second one asks
 * for `/healthz`. Loads run in a process of their own, on the same machine: a part of what is lost is theirs.
 */
import { readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { Client } from "../../src/client/client.ts";
import { dialTcp } from "../../src/client/tcp.ts";
import { EscServer } from "../support/esc.ts";

const { values } = parseArgs({ options: { seconds: { type: "string", default: "10" } } });
const phaseMs = Number(values.seconds) * 1_000;

const LOADS = [
  { kind: "slowloris", listener: "http", count: 1_000, says: "requests that never end" },
  { kind: "halves", listener: "tcp", count: 1_000, says: "frames that never end" },
  { kind: "idle", listener: "tcp", count: 5_000, says: "connections that say nothing" },
  { kind: "flood", listener: "tcp", count: 4, says: "new connections without end, 1,000 a second let in" },
] as const;

const server = await EscServer.start({
  config: {
    ingestion: { tcp: { maxConnections: 8_000 } },
    // A client that opens more than this is no client: the healthy one has two.
    limits: { connects_per_second: 1_000 },
  },
});
const descriptors = () => readdirSync(`/proc/${server.pid}/fd`).length;
const client = await Client.connect({
  dial: dialTcp({ host: "127.0.0.1", port: server.tcpPort }),
  acks: "durable",
});

/** Milliseconds of single events and requests, one after the other, for a phase. */
async function measure(): Promise<{ readonly event: Figures; readonly request: Figures }> {
  const untilMs = performance.now() + phaseMs;
  const one = async (act: () => Promise<unknown>) => {
    const took: number[] = [];
    while (performance.now() < untilMs) {
      const startMs = performance.now();
      await act();
      took.push(performance.now() - startMs);
      await Bun.sleep(2);
    }
    return figuresOf(took);
  };
  const [event, request] = await Promise.all([
    one(async () => {
      client.publisher.publish({ topic: "healthy", payload: "x".repeat(100) });
      await client.publisher.settled();
    }),
    one(async () => {
      const { status } = await fetch(server.url("/healthz"));
      if (status !== 200) throw new Error(`/healthz answered ${status}`);
    }),
  ]);
  return { event, request };
}

interface Figures {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}

function figuresOf(took: number[]): Figures {
  const sorted = took.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99) };
}

const shown = ({ p50, p99 }: Figures) => `${p50.toFixed(2)} / ${p99.toFixed(2)}`;
const line = (...cells: readonly string[]) => {
  const widths = [12, 16, 18, 7, 7, 12];
  console.log(cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(" "));
};

await measure();
const atRest = descriptors();
let failures = 0;
line("load", "event p50/p99 ms", "request p50/p99", "ratio", "open", "left after");
for (const { kind, listener, count } of LOADS) {
  // Measured anew each time: the machine may have other things to do.
  const baseline = await measure();
  line("none", shown(baseline.event), shown(baseline.request), "", String(descriptors()), "");
  const port = listener === "http" ? server.httpPort : server.tcpPort;
  const load = Bun.spawn(
    [process.execPath, `${import.meta.dir}/siege-load.ts`, kind, String(port), String(count)],
    { stdin: "pipe", stdout: "pipe", stderr: "inherit" },
  );
  await load.stdout.getReader().read();
  const under = await measure();
  const open = descriptors();
  load.stdin.end();
  await load.exited;
  // A socket is gone a moment after its client.
  for (let tries = 0; descriptors() > atRest + 4 && tries < 2_500; tries++) await Bun.sleep(10);
  const left = descriptors() - atRest;
  if (left > 4) failures++;
  const ratio = under.event.p99 / baseline.event.p99;
  if (ratio > 2) failures++;
  line(kind, shown(under.event), shown(under.request), ratio.toFixed(1), String(open), String(left));
}
const metrics = await (await fetch(server.url("/metrics"))).text();
console.log(metrics.split("\n").filter((text) => /^esc_limited_total.* [1-9]/.test(text)).join("\n"));
client.abort();
await server.remove();
console.log(failures === 0 ? "all bounds held: p99 below twice its baseline" : `${failures} bounds broken`);
process.exit(failures === 0 ? 0 : 1);
