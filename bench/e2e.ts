/**
 * End to end, on both paths: over the rings from a source to whoever takes the events out of a lane, and from a
 * client's socket to the log.
 */
import { Worker } from "node:worker_threads";
import type { DispatchWorkerOptions } from "../src/dispatch/options.ts";
import { encodeFrame } from "../src/event/encode.ts";
import { RUN_COUNT, RUN_HEADER_BYTES, RUN_SEQ_LO } from "../src/event/run.ts";
import { COMMAND_STOP, STATE_RUNNING, ThreadControl } from "../src/queue/control.ts";
import { Doorbell } from "../src/queue/doorbell.ts";
import { align8, RingReader } from "../src/queue/ring.ts";
import { workerUrl } from "../src/threads.ts";
import { type Benchmark, type BenchOptions, type Case, type Sample, scaled } from "./benchmark.ts";
import { dispatchOptions } from "./dispatch.ts";
import type { RingTask } from "./ring-thread.ts";
import { allReady } from "./rings.ts";
import { StressedServer, type StressPlan } from "./stressed.ts";

const EVENT_BYTES = 64;
const FRAMES_PER_RUN = 1000;
const PUBLISHED = { eventsPerS: 10e6 };
const SLEEP_MS = 1000;

export const e2e: Benchmark = {
  summary: "end to end: source to lane over the rings, and socket to log",
  open: (options) => [
    {
      name: "ring: source, dispatcher, lane, 64 bytes",
      published: PUBLISHED,
      round: () => throughDispatcher(scaled(10e6, options)),
    },
    ...socketCases(options),
  ],
};

const SOCKET_CASES: readonly (Omit<StressPlan, "events"> & { durability: "fsync" | "none" })[] = [
  { size: 48, acks: "none", durability: "none", clients: 1 },
  { size: 48, acks: "accepted", durability: "none" },
  { size: 128, acks: "none", durability: "fsync" },
  { size: 128, acks: "durable", durability: "fsync" },
  { size: 1024, acks: "durable", durability: "fsync" },
];
const ROUND_BYTES = 128 * 2 ** 20;
/** Frame and topic "stress.t0" around a payload of `esc stress`. */
const OVERHEAD_BYTES = 16;

function socketCases(options: BenchOptions): Case[] {
  return SOCKET_CASES.map(({ durability, ...plan }) => {
    const server = new StressedServer(options.esc, { durability });
    const frameBytes = plan.size + OVERHEAD_BYTES;
    const events = scaled(ROUND_BYTES / frameBytes, options);
    const what = plan.size < 64 ? `frames of ${frameBytes} bytes` : `payloads of ${plan.size} bytes`;
    return {
      name: `socket to log: ${what}, acks ${plan.acks}, ${durability}`,
      published: PUBLISHED,
      round: () => server.round({ ...plan, events, inFlight: 65_536 }),
      close: () => server.close(),
    };
  });
}

/** One thread writes, the dispatcher's own thread sorts, this one takes the events out of their lane. */
async function throughDispatcher(events: number): Promise<Sample> {
  const options = dispatchOptions({ shardCount: 1, topics: [] });
  const [source] = options.sources;
  const lane = options.shards[1];
  if (source === undefined || lane === undefined) throw new Error("A source and three lanes are expected");
  const topic = "market.btc-usd";
  const frame = encodeFrame({ topic, priority: 2, payload: "x".repeat(EVENT_BYTES - 7 - topic.length) });
  const gate = new SharedArrayBuffer(8);
  const task: RingTask = {
    ring: source.ring,
    frames: new Uint8Array(Buffer.concat(Array.from({ length: FRAMES_PER_RUN }, () => frame))),
    framesPerRun: FRAMES_PER_RUN,
    runCount: Math.max(1, Math.floor(events / FRAMES_PER_RUN)),
    readerBell: options.doorbell,
    writerBell: source.doorbell,
    gate,
  };
  const dispatcher = startDispatcher(options);
  const writer = new Worker(workerUrl("bench/ring-thread.ts"), { workerData: task });
  const words = new Int32Array(gate);
  await allReady(words, 1);
  await dispatcher.running;
  const startedNs = Bun.nanoseconds();
  Atomics.store(words, 0, 1);
  Atomics.notify(words, 0);
  takeAll(new RingReader(lane.ring), new Doorbell(lane.laneDoorbell), task.runCount);
  const ns = Bun.nanoseconds() - startedNs;
  await dispatcher.stop();
  await writer.terminate();
  return { operations: task.runCount * FRAMES_PER_RUN, ns };
}

function startDispatcher(options: DispatchWorkerOptions) {
  const control = new ThreadControl(options.control);
  const worker = new Worker(workerUrl("src/dispatch/worker.ts"), { workerData: options });
  const ended = new Promise<void>((resolve, reject) =>
    worker.on("exit", () => resolve()).on("error", reject)
  );
  const running = (async () => {
    while (control.state !== STATE_RUNNING) await new Promise((resolve) => setImmediate(resolve));
  })();
  const stop = async () => {
    control.command = COMMAND_STOP;
    new Doorbell(options.doorbell).alarm();
    await ended;
  };
  return { running: Promise.race([running, ended]), stop };
}

/** @throws If a run is missing, doubled, cut or out of order. */
function takeAll(reader: RingReader, own: Doorbell, runCount: number): void {
  const hand = new Uint8Array(1 << 20);
  const words = new Int32Array(hand.buffer);
  for (let run = 0; run < runCount;) {
    const end = reader.take(hand, 0, hand.length);
    if (end === 0) {
      const ticket = own.arm();
      if (reader.isEmpty()) own.wait(ticket, SLEEP_MS);
      else own.disarm();
      continue;
    }
    for (let at = 0; at < end; at += align8(words[at >> 2] as number)) {
      const word = at >> 2;
      const isWhole = words[word] === RUN_HEADER_BYTES + FRAMES_PER_RUN * EVENT_BYTES &&
        words[word + RUN_COUNT] === FRAMES_PER_RUN;
      if (!isWhole || words[word + RUN_SEQ_LO] !== run) {
        throw new Error(`Run ${words[word + RUN_SEQ_LO]} of ${words[word]} bytes came instead of run ${run}`);
      }
      run++;
    }
  }
}
