/**
 * How long one event takes: from thread to thread, and from a client's socket into the log and back, beside what
 * one sync of the disk takes.
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { preallocate } from "../src/system/fallocate.ts";
import { type Benchmark, type Case, type Sample, scaled } from "./benchmark.ts";
import { hop, timesOf } from "./hop.ts";
import { StressedServer } from "./stressed.ts";

const PUBLISHED = { p50Ns: 1000, p99Ns: 2000 };
const SYNCED_BYTES = 4096;

export const latency: Benchmark = {
  summary: "one event: thread to thread, and acknowledged as durable",
  open: (options) => {
    const server = new StressedServer(options.esc);
    return [
      {
        name: "thread to thread, spin",
        isLatency: true,
        published: PUBLISHED,
        round: () => hop("spin", scaled(50_000, options)),
      },
      { name: "thread to thread, block", isLatency: true, round: () => hop("block", scaled(2000, options)) },
      { name: "disk: write 4 KiB, sync", isLatency: true, round: () => syncs(scaled(500, options)) },
      closedLoop(server, 1, scaled(2000, options)),
      closedLoop(server, 8, scaled(8000, options)),
    ];
  },
};

/** One client that keeps `inFlight` events unacknowledged. */
function closedLoop(server: StressedServer, inFlight: number, events: number): Case {
  return {
    name: `socket to durable ACK, ${inFlight} in flight`,
    isLatency: true,
    round: async () => {
      const { p50Ns, p99Ns } = await server.round({
        events,
        size: 128,
        acks: "durable",
        clients: 1,
        inFlight,
      });
      if (p50Ns === undefined || p99Ns === undefined) throw new Error("Nothing was acknowledged");
      return { operations: 1, ns: p50Ns, p50Ns, p99Ns };
    },
    close: () => server.close(),
  };
}

function syncs(count: number): Sample {
  const folder = mkdtempSync(join(tmpdir(), "esc-bench-sync-"));
  const file = openSync(join(folder, "file"), "w");
  try {
    preallocate(file, count * SYNCED_BYTES);
    fdatasyncSync(file);
    const bytes = new Uint8Array(SYNCED_BYTES).fill(7);
    const times = new Float64Array(count);
    for (let index = 0; index < count; index++) {
      const startedNs = Bun.nanoseconds();
      writeSync(file, bytes, 0, SYNCED_BYTES, index * SYNCED_BYTES);
      fdatasyncSync(file);
      times[index] = Bun.nanoseconds() - startedNs;
    }
    return timesOf(times);
  } finally {
    closeSync(file);
    rmSync(folder, { recursive: true });
  }
}
