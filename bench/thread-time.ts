/**
 * Processor time of the calling thread in nanoseconds, for work that one thread does alone: on a busy machine the
 * wall clock would mostly measure the others. Without a C library it is the wall clock.
 */
import { ptr } from "bun:ffi";
import { bindLibc } from "../src/system/libc.ts";

const CLOCK_THREAD_CPUTIME_ID = 3;

const libc = bindLibc({ clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });
// struct timespec { i64 seconds; i64 nanoseconds }
const timespec = new Uint32Array(new ArrayBuffer(16));
const address = ptr(timespec);

export const threadNs: () => number = libc === undefined ? () => Bun.nanoseconds() : () => {
  libc.clock_gettime(CLOCK_THREAD_CPUTIME_ID, address);
  return (timespec[0] as number) * 1e9 + (timespec[2] as number);
};
