/** Bugs to plant: each breaks one rule that the log's safety stands on, without touching the log's own code. */

import type { FileHandle, Files } from "../../src/log/files.ts";
import { readU64 } from "../../src/log/format.ts";
import type { SimDisk } from "./disk.ts";
import { SimLane } from "./lane.ts";
import { SIM_PARTS, type SimParts } from "./world.ts";

/** Passes every call on to a disk; a bug overrides one of them. */
class Through implements Files {
  protected readonly disk: SimDisk;
  constructor(disk: SimDisk) {
    this.disk = disk;
  }
  openRead(path: string): FileHandle {
    return this.disk.openRead(path);
  }
  openWrite(path: string): FileHandle {
    return this.disk.openWrite(path);
  }
  create(path: string): FileHandle {
    return this.disk.create(path);
  }
  close(handle: FileHandle): void {
    this.disk.close(handle);
  }
  read(handle: FileHandle, bytes: Uint8Array, at: number, length: number, position: number): number {
    return this.disk.read(handle, bytes, at, length, position);
  }
  write(handle: FileHandle, bytes: Uint8Array, at: number, length: number, position: number): void {
    this.disk.write(handle, bytes, at, length, position);
  }
  sync(handle: FileHandle): void {
    this.disk.sync(handle);
  }
  truncate(handle: FileHandle, size: number): void {
    this.disk.truncate(handle, size);
  }
  preallocate(handle: FileHandle, size: number): boolean {
    return this.disk.preallocate(handle, size);
  }
  size(handle: FileHandle): number {
    return this.disk.size(handle);
  }
  list(directory: string): string[] {
    return this.disk.list(directory);
  }
  makeDirectory(): void {
    this.disk.makeDirectory();
  }
  syncDirectory(path: string): void {
    this.disk.syncDirectory(path);
  }
  rename(from: string, to: string): void {
    this.disk.rename(from, to);
  }
  unlink(path: string): void {
    this.disk.unlink(path);
  }
  freeBytes(): number {
    return this.disk.freeBytes();
  }
}

/** Says "durable" of everything appended. */
class HastyLane extends SimLane {
  protected override isAcknowledgeable(offset: number): boolean {
    return offset < this.writer.nextOffset;
  }
}

/** Puts a new segment in the place of an old one before the new one is on the disk. */
class ReplacesUnsynced extends Through {
  readonly #unfinished = new Set<FileHandle>();
  override create(path: string): FileHandle {
    const handle = super.create(path);
    if (path.endsWith(".log.new")) this.#unfinished.add(handle);
    return handle;
  }
  override sync(handle: FileHandle): void {
    // The one sync before the rename is left out; later ones are made.
    if (!this.#unfinished.delete(handle)) super.sync(handle);
  }
}

/** Removes files without waiting until the removal before is on the disk. */
class UnlinksUnsynced extends Through {
  #hasUnlinked = false;
  override unlink(path: string): void {
    super.unlink(path);
    this.#hasUnlinked = true;
  }
  override syncDirectory(path: string): void {
    if (!this.#hasUnlinked) super.syncDirectory(path);
    this.#hasUnlinked = false;
  }
}

/** Believes the index about where a segment ends. */
class TrustsIndex extends Through {
  override openRead(path: string): FileHandle {
    if (path.endsWith(".log")) this.#cutAtMark(path);
    return super.openRead(path);
  }
  #cutAtMark(path: string): void {
    const indexPath = path.replace(/log$/, "idx");
    if (!this.disk.paths().includes(indexPath)) return;
    const index = this.disk.content(indexPath).slice();
    const mark = index.length < 64 ? 0 : readU64(new Int32Array(index.buffer, 0, 16), 8);
    const content = this.disk.content(path);
    if (mark > 0 && mark < content.length) this.disk.overwrite(path, content.slice(0, mark));
  }
}

/** Tries a failed sync again, and takes the second answer for the truth. */
class RetriesSync extends Through {
  override sync(handle: FileHandle): void {
    try {
      super.sync(handle);
    } catch {
      super.sync(handle);
    }
  }
}

/** Never makes a name durable. */
class ForgetsNames extends Through {
  override syncDirectory(): void {}
}

function withFiles(make: new (disk: SimDisk) => Files): SimParts {
  return { ...SIM_PARTS, files: (disk) => new make(disk) };
}

/** Every bug by its name. */
export const PLANTED_BUGS: Readonly<Record<string, SimParts>> = {
  "acknowledging before the sync": {
    ...SIM_PARTS,
    lane: (files, options, events) => new HastyLane(files, options, events),
  },
  "replacing a segment before its successor is synced": withFiles(ReplacesUnsynced),
  "unlinking the next segment before the last removal is synced": withFiles(UnlinksUnsynced),
  "trusting the index over the log": withFiles(TrustsIndex),
  "repeating a failed sync": withFiles(RetriesSync),
  "not syncing names": withFiles(ForgetsNames),
};
