/**
 * The files a log stands on: the few synchronous operations it needs, and exactly what each promises.
 *
 * A contract with two implementations: the real one (`node-files.ts`), and a simulated disk in the tests
 * that loses, reorders, tears, fails and flips whatever these promises leave open.
 *
 * Every method throws an `Error` with a string `code` (`ENOSPC`, `EIO`, `ENOENT` …) when it fails.
 * Nothing is durable before `sync()` of the file and, for a name, `syncDirectory()` of its folder.
 */

/** An open file; a number without meaning to anybody but the `Files` that gave it. */
export type FileHandle = number;

export interface Files {
  /** Opens an existing file for reading only. */
  openRead(path: string): FileHandle;
  /** Opens an existing file for reading and writing. */
  openWrite(path: string): FileHandle;
  /** Creates an empty file, or empties the one that is there, for reading and writing. */
  create(path: string): FileHandle;
  close(handle: FileHandle): void;

  /**
   * Reads into `bytes[at, at + length)` from `position` of the file.
   *
   * @returns Bytes read; fewer than `length` only at the end of the file, 0 at or behind it.
   */
  read(handle: FileHandle, bytes: Uint8Array, at: number, length: number, position: number): number;

  /**
   * Writes `bytes[at, at + length)` at `position`; all of it, or it throws.
   *
   * After a throw any part of the range may have been written. Not atomic and not durable.
   *
   * @param bytes May lie in shared memory; must not change during the call.
   */
  write(handle: FileHandle, bytes: Uint8Array, at: number, length: number, position: number): void;

  /**
   * Makes everything written to the file, and its size, durable (fdatasync).
   *
   * After a throw, what was written since the last good `sync()` may be on disk or lost, and a later
   * `sync()` that succeeds says nothing about it: the kernel may have marked lost pages as clean.
   */
  sync(handle: FileHandle): void;

  /** Cuts or extends the file with zeros to `size` bytes. */
  truncate(handle: FileHandle, size: number): void;

  /**
   * Reserves disk space and extends the file with zeros to `size` bytes.
   *
   * @returns `false` if that cannot be had (no support, no space); the file may be longer all the same.
   */
  preallocate(handle: FileHandle, size: number): boolean;

  /** Bytes in the file. */
  size(handle: FileHandle): number;

  /** Names in the folder, in no order. */
  list(directory: string): string[];
  makeDirectory(path: string): void;
  /** Makes creations, renames and removals in the folder durable. */
  syncDirectory(path: string): void;
  /** Renames within a folder; a file of that name is replaced atomically. */
  rename(from: string, to: string): void;
  unlink(path: string): void;
  /** Bytes an unprivileged writer may still use on the file system of `path`. */
  freeBytes(path: string): number;
}

/** The system's code of a failed file operation, `UNKNOWN` if it has none. */
export function fileErrorCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "UNKNOWN";
}
