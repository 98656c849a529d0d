/**
 * The two clocks of esc. Any thread; equal on all threads.
 *
 * The runtime's own clocks (`performance.now`, `process.hrtime`) start at 0 in every thread, so a time
 * taken on one and subtracted on another means nothing. These read the kernel's clocks into a reused
 * buffer: about 40 ns, no allocation.
 */
import { ptr } from "bun:ffi";
import { bindLibc } from "./libc.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const TWO_POW_32 = 2 ** 32;

const libc = bindLibc({ clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });

// struct timespec { i64 seconds; i64 nanoseconds }. Backed by an ArrayBuffer from the start: the storage of
// a typed array without one may move when its buffer is first asked for.
const timespec = new Uint32Array(new ArrayBuffer(16));
const timespecAddress = ptr(timespec);

/**
 * Microseconds since the Unix epoch, by the wall clock: it may jump when the clock is set.
 * A whole number below 2^53. Without a C library its resolution is a millisecond.
 */
export const nowUs: () => number = libc === undefined ? () => Date.now() * 1000 : () => {
  libc.clock_gettime(CLOCK_REALTIME, timespecAddress);
  return seconds() * 1e6 + Math.trunc(word(2) / 1000);
};

/**
 * Nanoseconds since an unknown moment, the same on all threads, never going back. Exact for 104 days of
 * uptime (2^53 ns), then to 2 ns. Without a C library it follows the wall clock in milliseconds.
 */
export const monotonicNs: () => number = libc === undefined ? () => Date.now() * 1e6 : () => {
  libc.clock_gettime(CLOCK_MONOTONIC, timespecAddress);
  return seconds() * 1e9 + word(2);
};

function seconds(): number {
  return word(0) + word(1) * TWO_POW_32;
}

function word(index: 0 | 1 | 2): number {
  return timespec[index] ?? 0;
}
