/** Replacing a small file so that a crash leaves the old content or the new one, never a part. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from "node:fs";

/**
 * Writes beside the file, syncs, and renames. Durable once the folder is synced, too: the caller does
 * that, once for many files.
 *
 * @throws The file system's error; the old content is still there then.
 */
export function replaceFile(path: string, text: string): void {
  const file = openSync(`${path}.new`, "w", 0o600);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
}
