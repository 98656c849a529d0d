/** Which CPUs a thread may run on, and which CPUs belong to a NUMA node. Linux. */
import { readFileSync } from "node:fs";
import { ptr } from "bun:ffi";
import { bindLibc } from "./libc.ts";

/** As many CPUs as the C library's `cpu_set_t` knows. */
const CPU_COUNT_MAX = 1024;
const CALLING_THREAD = 0;

/**
 * Lets the calling thread run on these CPUs only. Other threads are not touched.
 *
 * @param cpus CPU numbers from 0. Those that do not exist are ignored as long as one of them does.
 * @returns `false` when nothing changed: no such call here, no such CPUs, or not allowed (cpuset, sandbox).
 */
export function pinThread(cpus: readonly number[]): boolean {
  const mask = new Uint8Array(new ArrayBuffer(CPU_COUNT_MAX / 8));
  for (const cpu of cpus) {
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= CPU_COUNT_MAX) return false;
    mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7));
  }
  const libc = bindLibc({ sched_setaffinity: { args: ["i32", "usize", "ptr"], returns: "i32" } });
  return libc !== undefined && libc.sched_setaffinity(CALLING_THREAD, mask.length, ptr(mask)) === 0;
}

/**
 * CPUs of a NUMA node, in ascending order.
 *
 * @param node Number from 0.
 * @param root Where the kernel lists its nodes.
 * @returns `undefined` when there is no such node or this system does not tell.
 */
export function cpusOfNode(node: number, root = "/sys/devices/system/node"): number[] | undefined {
  try {
    return parseCpuList(readFileSync(`${root}/node${node}/cpulist`, "utf8"));
  } catch {
    return undefined;
  }
}

/** Parses the kernel's notation of CPU lists: `0-3,8,10-11`. An empty list is a node without CPUs. */
export function parseCpuList(text: string): number[] {
  const cpus: number[] = [];
  for (const range of text.trim().split(",").filter((part) => part !== "")) {
    const [first = NaN, last = first] = range.split("-").map(Number);
    for (let cpu = first; cpu <= last && cpu < CPU_COUNT_MAX; cpu++) cpus.push(cpu);
  }
  return cpus;
}
