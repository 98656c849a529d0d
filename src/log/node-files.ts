/** The file system of the machine, synchronously: for lane workers and tools, never for an event loop. */

import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { preallocate } from "../system/fallocate.ts";
import type { FileHandle, Files } from "./files.ts";

function read(handle: FileHandle, bytes: Uint8Array, at: number, length: number, position: number): number {
  let done = 0;
  while (done < length) {
    const count = readSync(handle, bytes, at + done, length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

function write(handle: FileHandle, bytes: Uint8Array, at: number, length: number, position: number): void {
  let done = 0;
  // A short write is not an error of its own; the next one says what is wrong (ENOSPC, EFBIG).
  while (done < length) done += writeSync(handle, bytes, at + done, length - done, position + done);
}

function syncDirectory(path: string): void {
  const handle = openSync(path, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

/** The real files. Stateless: any thread may use it. */
export const nodeFiles: Files = {
  openRead: (path) => openSync(path, "r"),
  openWrite: (path) => openSync(path, "r+"),
  create: (path) => openSync(path, "w+"),
  close: closeSync,
  read,
  write,
  sync: fdatasyncSync,
  truncate: ftruncateSync,
  preallocate,
  size: (handle) => fstatSync(handle).size,
  list: (directory) => readdirSync(directory),
  makeDirectory: (path) => {
    mkdirSync(path, { recursive: true });
  },
  syncDirectory,
  rename: renameSync,
  unlink: unlinkSync,
  freeBytes,
};
