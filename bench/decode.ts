/** The frame check of a listener, for frames as clients send them: every frame is found and counted. */
import { encodeFrame } from "../src/event/encode.ts";
import type { OutgoingEvent } from "../src/event/encode.ts";
import { FrameScanner } from "../src/event/scan.ts";
import { type Benchmark, type Case, scaled } from "./benchmark.ts";
import { threadNs } from "./thread-time.ts";

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

export const decode: Benchmark = {
  summary: "frame check, as listeners do it",
  open: (options) =>
    Object.entries(shapes).map(([name, event]) => checked(name, event, scaled(PASSES, options))),
};

function checked(name: string, event: OutgoingEvent, passes: number): Case {
  const frame = encodeFrame(event);
  const bytes = new Uint8Array(frame.length * FRAMES);
  for (let index = 0; index < FRAMES; index++) bytes.set(frame, index * frame.length);
  const scanner = new FrameScanner(1 << 20);
  return {
    name: `${name} (${frame.length} bytes)`,
    round: () => {
      let count = 0;
      const startedNs = threadNs();
      for (let pass = 0; pass < passes; pass++) {
        for (let at = 0; at < bytes.length; at = scanner.end) {
          scanner.scan(bytes, at, bytes.length);
          count += scanner.count;
        }
      }
      const ns = threadNs() - startedNs;
      if (count !== FRAMES * passes) throw new Error(`Found ${count} frames of ${FRAMES * passes}`);
      return { operations: count, ns };
    },
  };
}
