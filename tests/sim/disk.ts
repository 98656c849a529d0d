/**
 * A disk in memory that keeps only the promises of `Files`, and breaks everything they leave open.
 *
 * Each file has two contents: what programs see (`seen`, the page cache) and what would be there after a
 * power loss (`kept`). Writes go into the first and wait; `sync()` carries them over. When the power goes,
 * any part of what waits may have arrived: whole writes, single sectors of them, in any order. Names behave
 * likewise until `syncDirectory()`. A sync that fails forgets what waited, as Linux does: the program still
 * sees its bytes, the disk never will, and the next sync says everything is fine.
 */

import type { FileHandle, Files } from "../../src/log/files.ts";
import type { SimRandom } from "./random.ts";

const SECTOR_BYTES = 512;

interface PendingWrite {
  readonly position: number;
  /** `undefined`: the file was set to the size `position`. */
  readonly bytes: Uint8Array | undefined;
}

class Inode {
  seen = new Uint8Array(0);
  kept = new Uint8Array(0);
  waiting: PendingWrite[] = [];
}

/** A change of a name that waits for `syncDirectory()`: set to an inode, or removed. */
interface PendingName {
  readonly path: string;
  readonly inode: Inode | undefined;
  /** A rename sets and removes together. */
  readonly removes: string | undefined;
}

function fileError(code: string, action: string, path: string): Error {
  return Object.assign(new Error(`${code}: simulated ${action} '${path}'`), { code });
}

function resized(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  if (size <= bytes.length) return bytes.slice(0, size);
  const larger = new Uint8Array(size);
  larger.set(bytes);
  return larger;
}

function written(
  content: Uint8Array<ArrayBuffer>,
  position: number,
  bytes: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const end = position + bytes.length;
  const target = end > content.length ? resized(content, end) : content;
  target.set(bytes, position);
  return target;
}

export class SimDisk implements Files {
  readonly #random: SimRandom;
  #names = new Map<string, Inode>();
  #keptNames = new Map<string, Inode>();
  #waitingNames: PendingName[] = [];
  #handles = new Map<
    FileHandle,
    { readonly inode: Inode; readonly path: string; readonly writable: boolean }
  >();
  #nextHandle = 3;
  #isStopped = false;
  /** Bytes all files may have together. */
  capacityBytes = Infinity;
  /** Chance that a call that changes something fails. */
  failureRate = 0;
  /** The call, counted from now, that fails; 0: none. */
  failsAtCall = 0;
  /** The call, counted from now, in the middle of which the machine stops; 0: none. */
  stopsAtCall = 0;
  /** Files whose calls succeed while the machine runs. */
  reliablePaths = /^$/;
  /** Whether `preallocate()` works on this disk. */
  canPreallocate = true;

  constructor(random: SimRandom) {
    this.#random = random;
  }

  /** Whether the machine has stopped: nothing works until `losePower()` or `killProcess()`. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  // ── what a test does to the disk ──

  /** Power loss: what was not synced arrives in part, and every open file is gone. */
  losePower(): void {
    for (const inode of this.#allInodes()) this.#settle(inode, () => this.#random.chance(0.5));
    // Either everything that waits in a directory arrives, or nothing, or any part of it.
    const rate = this.#random.pick([0, 0.5, 1]);
    for (const change of this.#waitingNames) if (this.#random.chance(rate)) this.#applyName(change);
    this.#waitingNames = [];
    this.#names = new Map(this.#keptNames);
    for (const inode of this.#allInodes()) inode.seen = inode.kept.slice();
    this.killProcess();
  }

  /** The process dies, the machine does not: open files are gone, nothing else is. */
  killProcess(): void {
    this.#handles.clear();
    this.#isStopped = false;
    this.stopsAtCall = 0;
  }

  /** No more failures, and room for everything. */
  heal(): void {
    this.capacityBytes = Infinity;
    this.failureRate = 0;
    this.failsAtCall = 0;
    this.stopsAtCall = 0;
  }

  paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  content(path: string): Uint8Array {
    return this.#inode(path).seen;
  }

  /** Makes or changes a file behind everybody's back, on the disk and in memory. */
  overwrite(path: string, bytes: Uint8Array): void {
    const inode = this.#names.get(path) ?? new Inode();
    this.#names.set(path, inode);
    this.#keptNames.set(path, inode);
    inode.seen = new Uint8Array(bytes);
    inode.kept = new Uint8Array(bytes);
    inode.waiting = [];
  }

  /** Removes a file behind everybody's back. */
  erase(path: string): void {
    this.#names.delete(path);
    this.#keptNames.delete(path);
  }

  flipBit(path: string, bit: number): void {
    const inode = this.#inode(path);
    for (const content of [inode.seen, inode.kept]) {
      const at = bit >> 3;
      if (at < content.length) content[at] = (content[at] as number) ^ (1 << (bit & 7));
    }
  }

  usedBytes(): number {
    let bytes = 0;
    for (const inode of new Set(this.#names.values())) bytes += inode.seen.length;
    return bytes;
  }

  // ── Files ──

  openRead(path: string): FileHandle {
    if (this.#isStopped) throw fileError("ESTOPPED", "open", path);
    return this.#handleOf(this.#inode(path), path, false);
  }

  openWrite(path: string): FileHandle {
    this.#mayFail("open", path);
    return this.#handleOf(this.#inode(path), path, true);
  }

  create(path: string): FileHandle {
    this.#mayFail("create", path);
    const existing = this.#names.get(path);
    const inode = existing ?? new Inode();
    if (existing === undefined) this.#rename({ path, inode, removes: undefined });
    else this.#change(inode, { position: 0, bytes: undefined });
    return this.#handleOf(inode, path, true);
  }

  close(handle: FileHandle): void {
    this.#open(handle);
    this.#handles.delete(handle);
  }

  read(handle: FileHandle, bytes: Uint8Array, at: number, length: number, position: number): number {
    const { inode } = this.#open(handle);
    const count = Math.max(0, Math.min(length, inode.seen.length - position));
    if (count > 0) bytes.set(inode.seen.subarray(position, position + count), at);
    return count;
  }

  write(handle: FileHandle, bytes: Uint8Array, at: number, length: number, position: number): void {
    const { inode, path } = this.#openForWriting(handle);
    const part = bytes.slice(at, at + length);
    const room = this.capacityBytes - this.usedBytes() + Math.max(0, inode.seen.length - position);
    const wasStopped = this.#isStopped;
    if (length > room || this.#fails(path)) {
      if (wasStopped) throw fileError("ESTOPPED", "write", path);
      // A prefix arrives, as with a real full disk.
      const fit = this.#random.below(Math.max(1, Math.min(room, length)));
      if (fit > 0) this.#change(inode, { position, bytes: part.slice(0, fit) });
      throw fileError(length > room ? "ENOSPC" : "EIO", "write", path);
    }
    this.#change(inode, { position, bytes: part });
  }

  sync(handle: FileHandle): void {
    const { inode, path } = this.#openForWriting(handle);
    if (this.#fails(path)) {
      // A machine that stops has not told the disk to forget anything.
      if (!this.#isStopped) this.#failSync(inode);
      throw fileError("EIO", "sync", path);
    }
    this.#settle(inode, undefined);
  }

  truncate(handle: FileHandle, size: number): void {
    const { inode, path } = this.#openForWriting(handle);
    this.#mayFail("truncate", path);
    this.#change(inode, { position: size, bytes: undefined });
  }

  preallocate(handle: FileHandle, size: number): boolean {
    const { inode, path } = this.#openForWriting(handle);
    if (!this.canPreallocate) return false;
    if (this.#fails(path)) return false;
    const growth = size - inode.seen.length;
    if (growth > this.capacityBytes - this.usedBytes()) return false;
    if (growth > 0) this.#change(inode, { position: size, bytes: undefined });
    return true;
  }

  size(handle: FileHandle): number {
    return this.#open(handle).inode.seen.length;
  }

  list(directory: string): string[] {
    const prefix = `${directory}/`;
    return [...this.#names.keys()].filter((path) => path.startsWith(prefix)).map((path) =>
      path.slice(prefix.length)
    );
  }

  /** Folders are taken for granted. */
  makeDirectory(): void {}

  syncDirectory(path: string): void {
    this.#mayFail("sync directory", path);
    for (const change of this.#waitingNames) this.#applyName(change);
    this.#waitingNames = [];
  }

  rename(from: string, to: string): void {
    this.#mayFail("rename", from);
    this.#rename({ path: to, inode: this.#inode(from), removes: from });
  }

  unlink(path: string): void {
    this.#inode(path);
    this.#mayFail("unlink", path);
    this.#rename({ path, inode: undefined, removes: undefined });
  }

  freeBytes(): number {
    return this.capacityBytes - this.usedBytes();
  }

  // ── inside ──

  #allInodes(): Set<Inode> {
    return new Set([
      ...this.#names.values(),
      ...this.#keptNames.values(),
      ...[...this.#handles.values()].map((open) => open.inode),
    ]);
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw fileError("ENOENT", "open", path);
    return inode;
  }

  #handleOf(inode: Inode, path: string, writable: boolean): FileHandle {
    const handle = this.#nextHandle++;
    this.#handles.set(handle, { inode, path, writable });
    return handle;
  }

  #open(handle: FileHandle) {
    const open = this.#handles.get(handle);
    if (open === undefined) throw fileError("EBADF", "use", String(handle));
    return open;
  }

  #openForWriting(handle: FileHandle) {
    const open = this.#open(handle);
    if (!open.writable) throw fileError("EBADF", "write", open.path);
    return open;
  }

  #fails(path: string): boolean {
    if (this.#isStopped) return true;
    if (this.reliablePaths.test(path)) return false;
    if (this.stopsAtCall > 0 && --this.stopsAtCall === 0) {
      this.#isStopped = true;
      return true;
    }
    if (this.failsAtCall > 0 && --this.failsAtCall === 0) return true;
    return this.failureRate > 0 && this.#random.chance(this.failureRate);
  }

  #mayFail(action: string, path: string): void {
    if (this.#fails(path)) throw fileError("EIO", action, path);
  }

  #change(inode: Inode, change: PendingWrite): void {
    inode.seen = change.bytes === undefined
      ? resized(inode.seen, change.position)
      : written(inode.seen, change.position, change.bytes);
    inode.waiting.push(change);
  }

  #rename(change: PendingName): void {
    if (change.removes !== undefined) this.#names.delete(change.removes);
    if (change.inode === undefined) this.#names.delete(change.path);
    else this.#names.set(change.path, change.inode);
    this.#waitingNames.push(change);
  }

  #applyName(change: PendingName): void {
    if (change.removes !== undefined) this.#keptNames.delete(change.removes);
    if (change.inode === undefined) this.#keptNames.delete(change.path);
    else this.#keptNames.set(change.path, change.inode);
  }

  #failSync(inode: Inode): void {
    this.#settle(inode, () => this.#random.chance(0.5));
    // Pages that count as clean may be dropped and read again at any time.
    if (this.#random.chance(0.3)) inode.seen = inode.kept.slice();
  }

  /** Carries waiting writes over to the disk: all, or as `arrives` decides for each write and sector. */
  #settle(inode: Inode, arrives: (() => boolean) | undefined): void {
    const rate = arrives === undefined ? 1 : this.#random.pick([0, 0.5, 1]);
    for (const { position, bytes } of inode.waiting) {
      if (bytes === undefined) {
        if (arrives === undefined || rate === 1 || arrives()) inode.kept = resized(inode.kept, position);
      } else if (arrives === undefined || rate === 1) {
        inode.kept = written(inode.kept, position, bytes);
      } else if (rate > 0) this.#tear(inode, position, bytes, arrives);
    }
    inode.waiting = [];
  }

  #tear(inode: Inode, position: number, bytes: Uint8Array, arrives: () => boolean): void {
    // Mostly whole sectors; now and then the cut is at any byte.
    const isPrefix = this.#random.chance(0.3);
    if (isPrefix) {
      inode.kept = written(inode.kept, position, bytes.subarray(0, this.#random.below(bytes.length + 1)));
      return;
    }
    for (let from = 0; from < bytes.length;) {
      const end = Math.min(bytes.length, from + SECTOR_BYTES - ((position + from) % SECTOR_BYTES));
      if (arrives()) inode.kept = written(inode.kept, position + from, bytes.subarray(from, end));
      from = end;
    }
  }
}
