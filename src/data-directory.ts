/**
 * The data directory: its layout, and the lock that keeps a second server out of it.
 *
 * The lock is `flock(2)` on `<dir>/lock`: the kernel drops it when the process ends, however it ends,
 * so a crash never leaves a server locked out.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { EscError } from "./errors.ts";
import { bindLibc } from "./system/libc.ts";

const LOCK_EX = 2;
const LOCK_NB = 4;

/** Where everything lies below the data directory. */
export interface DataLayout {
  readonly root: string;
  readonly logs: string;
  readonly consumers: string;
  readonly checkpoints: string;
  readonly topics: string;
}

/** The folder of one shard's log. */
export function shardDirectory(layout: DataLayout, lane: string, shard: number): string {
  return join(layout.logs, lane, String(shard));
}

export class DataDirectory {
  readonly layout: DataLayout;
  readonly #lock: number;

  /**
   * Creates what is missing and takes the lock.
   *
   * @throws {EscError} DATA_LOCKED if another process holds it, LOG_UNAVAILABLE if the directory cannot be
   *   written.
   */
  constructor(root: string) {
    this.layout = {
      root,
      logs: join(root, "log"),
      consumers: join(root, "consumers"),
      checkpoints: join(root, "checkpoints"),
      topics: join(root, "topics.json"),
    };
    try {
      for (const directory of [this.layout.logs, this.layout.consumers, this.layout.checkpoints]) {
        mkdirSync(directory, { recursive: true });
      }
      this.#lock = openSync(join(root, "lock"), "a+");
    } catch (error) {
      throw new EscError(
        "LOG_UNAVAILABLE",
        `Cannot use data directory "${root}": ${(error as Error).message}`,
        {
          cause: error,
          hint: "Set data.dir to a folder this user may write to",
        },
      );
    }
    this.#takeLock(root);
  }

  #takeLock(root: string): void {
    const libc = bindLibc({ flock: { args: ["i32", "i32"], returns: "i32" } });
    if (libc !== undefined && libc.flock(this.#lock, LOCK_EX | LOCK_NB) !== 0) {
      const holder = readFileSync(join(root, "lock"), "utf8").trim();
      closeSync(this.#lock);
      throw new EscError("DATA_LOCKED", `Data directory "${root}" is in use by process ${holder}`, {
        hint: "Stop that server, or give this one another data.dir",
      });
    }
    // For the next one's message only; the lock is what counts.
    ftruncateSync(this.#lock, 0);
    writeSync(this.#lock, `${process.pid}\n`);
  }

  /** Gives the lock back. */
  close(): void {
    closeSync(this.#lock);
  }
}
