/**
 * Giving back memory that only the start needed, so that an idle server holds little.
 *
 * None of it changes what the program does: what is needed again is made, or read from the page cache, again.
 */
import { readFileSync } from "node:fs";
import { bindLibc } from "./libc.ts";

/** `MADV_DONTNEED` of Linux. */
const GIVE_BACK = 4;

/** `shrink()` is part of Bun, not of its types. */
declare module "bun" {
  function shrink(): void;
}

/** Collects the calling thread's garbage and drops what the engine can make again. Some milliseconds. */
export async function shrinkHeap(): Promise<void> {
  Bun.gc(true);
  Bun.shrink();
  // It shrinks when the event loop is idle: without a turn a thread that blocks never would.
  await new Promise((resolve) => setTimeout(resolve, 0));
}

/**
 * Unmaps the executable's code pages of the process. Those in use come back from the page cache at once, a
 * fault for sixteen of them; those that only the start ran do not. All threads.
 *
 * @param smaps The kernel's list of mappings.
 * @returns Bytes that were resident, 0 where this is not possible.
 */
export function releaseCode(smaps = "/proc/self/smaps"): number {
  const libc = bindLibc({ madvise: { args: ["usize", "usize", "i32"], returns: "i32" } });
  if (libc === undefined) return 0;
  let bytes = 0;
  for (const { from, to, residentBytes } of codeMappings(textOf(smaps))) {
    if (libc.madvise(from, to - from, GIVE_BACK) === 0) bytes += residentBytes;
  }
  return bytes;
}

/** Empty where the system does not tell: not Linux, or not for us. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

export interface CodeMapping {
  readonly from: number;
  readonly to: number;
  readonly residentBytes: number;
}

/** Mappings of code that are exactly what their file holds: a page that was written to could not come back. */
export function codeMappings(smaps: string): CodeMapping[] {
  const mappings: CodeMapping[] = [];
  const head = /^([0-9a-f]+)-([0-9a-f]+) r-xp [0-9a-f]+ \S+ [1-9]\d* +\//;
  for (const text of smaps.split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/)) {
    const [, from, to] = head.exec(text) ?? [];
    if (from === undefined || to === undefined || kibibytes(text, "Anonymous") !== 0) continue;
    mappings.push({
      from: Number.parseInt(from, 16),
      to: Number.parseInt(to, 16),
      residentBytes: kibibytes(text, "Rss") * 1024,
    });
  }
  return mappings;
}

function kibibytes(mapping: string, field: string): number {
  return Number(new RegExp(`^${field}: +(\\d+) kB$`, "m").exec(mapping)?.[1] ?? Number.NaN);
}
