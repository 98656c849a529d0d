/**
 * One file being followed: which file it is, and where reading stands.
 *
 *     durable ≤ read ≤ size
 *
 * A file is itself as long as device, inode and its first bytes stay the same and it has not become
 * shorter than what was read.
 */
import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Checkpoint } from "./checkpoint.ts";

const HEAD_BYTES_MAX = 256;
/** Most neighbours looked at to find a file that was renamed while nobody watched. */
const NEIGHBOURS_MAX = 1000;

export class TailedFile {
  readonly device: number;
  readonly inode: number;
  readonly epoch: number;
  /** Everything before has been read. */
  readBytes: number;
  readonly #descriptor: number;
  #headBytes = 0;
  #headCrc = 0;

  private constructor(descriptor: number, epoch: number, readBytes: number) {
    const stat = fstatSync(descriptor);
    this.#descriptor = descriptor;
    this.device = stat.dev;
    this.inode = stat.ino;
    this.epoch = epoch;
    this.readBytes = readBytes;
    this.#takeHead(readBytes);
  }

  /** Opens a file nobody has read yet. @returns `undefined` when it does not exist (yet). */
  static open(path: string, epoch: number, fromStart: boolean): TailedFile | undefined {
    const descriptor = openOrNothing(path);
    if (descriptor === undefined) return undefined;
    return new TailedFile(descriptor, epoch, fromStart ? 0 : fstatSync(descriptor).size);
  }

  /**
   * Opens the file a checkpoint speaks of, under its path or under another name in the same folder (it was
   * rotated meanwhile).
   *
   * @returns `undefined` when that file is gone or no longer the same.
   */
  static reopen(path: string, checkpoint: Checkpoint): TailedFile | undefined {
    for (const candidate of [path, ...neighbours(path)]) {
      const stat = statSync(candidate, { throwIfNoEntry: false });
      if (stat === undefined || stat.ino !== checkpoint.inode || stat.dev !== checkpoint.device) continue;
      const descriptor = openOrNothing(candidate);
      if (descriptor === undefined) continue;
      const size = fstatSync(descriptor).size;
      if (size >= checkpoint.bytes && headCrc(descriptor, checkpoint.headBytes) === checkpoint.headCrc) {
        return new TailedFile(descriptor, checkpoint.epoch, checkpoint.bytes);
      }
      closeSync(descriptor);
    }
    return undefined;
  }

  /** The checkpoint that says: everything below `bytes` is durable. */
  checkpoint(bytes: number): Checkpoint {
    return {
      device: this.device,
      inode: this.inode,
      epoch: this.epoch,
      bytes,
      headBytes: this.#headBytes,
      headCrc: this.#headCrc,
    };
  }

  /** Reads on. @returns Bytes read, 0 at the end of what is there now. */
  read(target: Uint8Array, at: number, bytesMax: number): number {
    const count = readSync(this.#descriptor, target, at, bytesMax, this.readBytes);
    this.readBytes += count;
    if (this.#headBytes < HEAD_BYTES_MAX && count > 0) this.#takeHead(this.readBytes);
    return count;
  }

  /** Whether it was cut, or cut and written anew, since it was read. */
  isReplaced(): boolean {
    if (fstatSync(this.#descriptor).size < this.readBytes) return true;
    return headCrc(this.#descriptor, this.#headBytes) !== this.#headCrc;
  }

  /** Whether the path now names another file. A path that names nothing is between two files. */
  isRotated(path: string): boolean {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat !== undefined && (stat.ino !== this.inode || stat.dev !== this.device);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #takeHead(readBytes: number): void {
    this.#headBytes = Math.min(readBytes, HEAD_BYTES_MAX);
    this.#headCrc = headCrc(this.#descriptor, this.#headBytes);
  }
}

function headCrc(descriptor: number, bytes: number): number {
  const head = new Uint8Array(Math.min(bytes, HEAD_BYTES_MAX));
  const count = readSync(descriptor, head, 0, head.length, 0);
  return Bun.hash.crc32(head.subarray(0, count));
}

function openOrNothing(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function neighbours(path: string): string[] {
  const folder = dirname(path);
  const name = basename(path);
  try {
    return readdirSync(folder).filter((other) => other !== name).slice(0, NEIGHBOURS_MAX)
      .map((other) => join(folder, other));
  } catch {
    return [];
  }
}
