/** Taking files out of the page cache, so that reading them is reading the disk. Linux. */
import { closeSync, fdatasyncSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { bindLibc } from "../src/system/libc.ts";

/** `POSIX_FADV_DONTNEED`. */
const DONT_NEED = 4;

/** Syncs all files below a folder and drops them from the page cache. */
export function dropFromCache(folder: string): void {
  const libc = bindLibc({ posix_fadvise: { args: ["i32", "i64", "i64", "i32"], returns: "i32" } });
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = openSync(join(entry.parentPath, entry.name), "r");
    try {
      // What is dirty stays: it must be on the disk first.
      fdatasyncSync(file);
      libc?.posix_fadvise(file, 0, 0, DONT_NEED);
    } finally {
      closeSync(file);
    }
  }
}
