/** Making names durable: a file that was created or renamed is safe only once its directory is synced. */
import { closeSync, fsyncSync, openSync } from "node:fs";

/**
 * Waits until the entries of a directory are on the disk. Blocks.
 *
 * @throws The file system's error: the names may be gone after a power loss.
 */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
