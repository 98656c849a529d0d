/**
 * The frame check alone: nanoseconds a frame for frames as clients send them, and where the two ways of
 * computing a CRC cross.
 *
 * Checks that every frame was found before it prints anything.
 *
 *     bun bench/decode.ts
 */
import { cpus } from "node:os";
import { crc32ByTables } from "../src/event/crc.ts";
import { encodeFrame } from "../src/event/encode.ts";
import type { OutgoingEvent } from "../src/event/encode.ts";
import { FrameScanner } from "../src/event/scan.ts";

const ROUNDS = 7;
const FRAMES = 4096;
const PASSES = 100;

const topic = "market.btc-usd";
const shapes: Record<string, OutgoingEvent> = {
  "plain, 64 bytes": { topic, priority: 2, payload: "x".repeat(43) },
  "plain, 128 bytes": { topic, priority: 2, payload: "x".repeat(107) },
  "topic not ASCII": { topic: "märkte.btc-eur", priority: 2, payload: "x".repeat(43) },
  "with CRC, 64 bytes": { topic, priority: 2, payload: "x".repeat(39), crc: true },
  "with CRC, 1 KiB": { topic, priority: 2, payload: "x".repeat(1000), crc: true },
  "with id": { topic, priority: 2, payload: "x".repeat(43), id: "producer-1:00000001" },
  "id, time, key, 2 headers": {
    topic,
    priority: 2,
    payload: "x".repeat(43),
    id: "producer-1:00000001",
    timeUs: 1,
    key: "btc",
    headers: [["source", "bench"], ["trace", "0123456789"]],
  },
};

console.log(
  `${cpus()[0]?.model ?? "unknown CPU"}, Bun ${Bun.version}; median of ${ROUNDS} rounds (min to max)`,
);
for (const [name, event] of Object.entries(shapes)) report(name, measureScan(event));
console.log("\nCRC, ns a call        tables    runtime");
for (const length of [32, 64, 96, 128, 192, 256, 1024]) compareCrc(length);

function measureScan(event: OutgoingEvent): number[] {
  const frame = encodeFrame(event);
  const bytes = new Uint8Array(frame.length * FRAMES);
  for (let index = 0; index < FRAMES; index++) bytes.set(frame, index * frame.length);
  const scanner = new FrameScanner(1 << 20);
  return Array.from({ length: ROUNDS }, () => {
    const startedNs = Bun.nanoseconds();
    let count = 0;
    for (let pass = 0; pass < PASSES; pass++) {
      for (let at = 0; at < bytes.length; at = scanner.end) {
        scanner.scan(bytes, at, bytes.length);
        count += scanner.count;
      }
    }
    const ns = Bun.nanoseconds() - startedNs;
    if (count !== FRAMES * PASSES) throw new Error(`Found ${count} frames of ${FRAMES * PASSES}`);
    return ns / count;
  });
}

function report(name: string, nsPerFrame: number[]): void {
  const sorted = nsPerFrame.toSorted((a, b) => a - b);
  const median = sorted[ROUNDS >> 1] ?? NaN;
  const spread = `${(sorted[0] ?? NaN).toFixed(1)} to ${(sorted[ROUNDS - 1] ?? NaN).toFixed(1)}`;
  const rate = `${(1000 / median).toFixed(0)} M/s`;
  console.log(`${name.padEnd(26)} ${median.toFixed(1).padStart(7)} ns  (${spread})  ${rate}`);
}

function compareCrc(length: number): void {
  const bytes = crypto.getRandomValues(new Uint8Array(length + 32));
  const view = new DataView(bytes.buffer);
  const time = (crc: (from: number) => number) => {
    let best = Infinity;
    for (let round = 0; round < ROUNDS; round++) {
      const startedNs = Bun.nanoseconds();
      for (let call = 0; call < 50_000; call++) crc(call & 31);
      best = Math.min(best, (Bun.nanoseconds() - startedNs) / 50_000);
    }
    return best.toFixed(0).padStart(9);
  };
  const byTables = (from: number) => crc32ByTables(bytes, view, from, from + length);
  const byRuntime = (from: number) => Bun.hash.crc32(bytes.subarray(from, from + length));
  if (byTables(3) !== byRuntime(3)) throw new Error("The two CRCs differ");
  console.log(`${String(length).padStart(5)} bytes        ${time(byTables)}  ${time(byRuntime)}`);
}
