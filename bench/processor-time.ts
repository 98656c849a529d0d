/** Processor time of a process: what work costs, however many others want the same cores. Linux. */
import { readFileSync } from "node:fs";

/** Linux counts it for programs in hundredths of a second. */
const TICK_NS = 10_000_000;

/** Nanoseconds of user and system time of all its threads, those that have ended included. */
export function processorNs(pid: number): number {
  // The name, in parentheses, may hold anything.
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_NS;
}
