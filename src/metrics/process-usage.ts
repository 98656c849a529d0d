/** What the process and each of its threads have used, from the kernel (Linux) and the runtime. */
import { readdirSync, readFileSync } from "node:fs";

export interface ThreadUsage {
  readonly tid: number;
  /** As the kernel knows the thread, or as `names` says. */
  readonly name: string;
  readonly cpuSeconds: number;
}

export interface ProcessUsage {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly startTimeSeconds: number;
  /** Absent where the kernel has no /proc. */
  readonly openFiles: number | undefined;
  /** Empty where the kernel has no /proc. */
  readonly threads: readonly ThreadUsage[];
}

/** Ticks of /proc's times: USER_HZ, 100 on every Linux port that esc runs on. */
const TICKS_PER_SECOND = 100;
// Fields of /proc/*/stat after the name, from 0 (proc(5) counts from 1, and the name is field 2).
const STAT_UTIME = 11;
const STAT_STIME = 12;
/** More threads than any esc has; a bound for the page. */
const THREADS_MAX = 256;

/** @param names Names by thread id, where the engine knows better than the kernel. */
export function readProcessUsage(names: ReadonlyMap<number, string>): ProcessUsage {
  const { user, system } = process.cpuUsage();
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.memoryUsage.rss(),
    startTimeSeconds: Date.now() / 1000 - process.uptime(),
    openFiles: listOf("/proc/self/fd")?.length,
    threads: (listOf("/proc/self/task") ?? []).slice(0, THREADS_MAX).flatMap((tid) =>
      readThread(Number(tid), names)
    ),
  };
}

/** Empty when the thread has ended meanwhile. */
function readThread(tid: number, names: ReadonlyMap<number, string>): ThreadUsage[] {
  let stat: string;
  try {
    stat = readFileSync(`/proc/self/task/${tid}/stat`, "utf8");
  } catch {
    return [];
  }
  // The name stands in parentheses and may hold any character, parentheses too.
  const nameEnd = stat.lastIndexOf(")");
  const fields = stat.slice(nameEnd + 2).split(" ");
  const ticks = Number(fields[STAT_UTIME]) + Number(fields[STAT_STIME]);
  const name = names.get(tid) ?? stat.slice(stat.indexOf("(") + 1, nameEnd);
  return [{ tid, name, cpuSeconds: ticks / TICKS_PER_SECOND }];
}

function listOf(path: string): string[] | undefined {
  try {
    return readdirSync(path);
  } catch {
    return undefined;
  }
}
