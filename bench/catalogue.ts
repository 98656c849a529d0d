/** All benchmarks by name, in the way of an event through the engine. */
import type { Benchmark } from "./benchmark.ts";
import { crc } from "./crc.ts";
import { decode } from "./decode.ts";
import { dedup } from "./dedup.ts";
import { deliver } from "./deliver.ts";
import { dispatch } from "./dispatch.ts";
import { e2e } from "./e2e.ts";
import { latency } from "./latency.ts";
import { log } from "./log.ts";
import { mpsc } from "./mpsc.ts";
import { pool } from "./pool.ts";
import { processing } from "./processing.ts";
import { relay } from "./relay.ts";
import { scale } from "./scale.ts";
import { spsc } from "./spsc.ts";
import { steady } from "./steady.ts";

export const BENCHMARKS: ReadonlyMap<string, Benchmark> = new Map(
  Object.entries({
    spsc,
    mpsc,
    pool,
    dedup,
    crc,
    decode,
    dispatch,
    log,
    processing,
    deliver,
    e2e,
    relay,
    latency,
    scale,
    steady,
  }),
);
