/**
 * How far a tailed file has become durable in the log: one small file per source, replaced as a whole.
 *
 *     <directory>/<name>.json   {"device","inode","epoch","bytes","head_bytes","head_crc"}
 *
 * `epoch` counts the files this source has followed: it is part of every message id, so that a new file
 * which happens to get an old inode, or a truncated one, never looks like a repetition. `head_*` is the
 * CRC of the file's first bytes: it tells a file that went on from one that was written anew.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { syncDirectory } from "../system/directory-sync.ts";

export interface Checkpoint {
  readonly device: number;
  readonly inode: number;
  readonly epoch: number;
  /** Every line below is durable in the log (or was refused for good). */
  readonly bytes: number;
  readonly headBytes: number;
  readonly headCrc: number;
}

export class CheckpointFile {
  readonly path: string;
  readonly #directory: string;

  /** @param directory Made when it does not exist. @param name Any text; characters unfit for a file name are escaped. */
  constructor(directory: string, name: string) {
    this.#directory = directory;
    this.path = join(directory, `${encodeURIComponent(name).replaceAll(".", "%2E")}.json`);
    mkdirSync(directory, { recursive: true });
  }

  /** @returns `undefined` when there is none, or none that can be understood: then the file is new. */
  read(): Checkpoint | undefined {
    try {
      return parseCheckpoint(JSON.parse(readFileSync(this.path, "utf8")));
    } catch {
      return undefined;
    }
  }

  /** Replaces it durably: a crash leaves the old one or the new one. @throws When the disk refuses. */
  write(checkpoint: Checkpoint): void {
    const text = JSON.stringify({
      device: checkpoint.device,
      inode: checkpoint.inode,
      epoch: checkpoint.epoch,
      bytes: checkpoint.bytes,
      head_bytes: checkpoint.headBytes,
      head_crc: checkpoint.headCrc,
    });
    const file = openSync(`${this.path}.new`, "w", 0o600);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(`${this.path}.new`, this.path);
    syncDirectory(this.#directory);
  }
}

function parseCheckpoint(json: unknown): Checkpoint | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  const number = (key: string): number => {
    const value: unknown = Reflect.get(json, key);
    return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : NaN;
  };
  const checkpoint: Checkpoint = {
    device: number("device"),
    inode: number("inode"),
    epoch: number("epoch"),
    bytes: number("bytes"),
    headBytes: number("head_bytes"),
    headCrc: number("head_crc"),
  };
  return Object.values(checkpoint).some(Number.isNaN) ? undefined : checkpoint;
}
