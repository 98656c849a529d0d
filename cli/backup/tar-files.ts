/** A tar archive as files to be read where they lie: nothing is unpacked to look into it. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { EscError } from "../../src/errors.ts";
import type { FileHandle, Files } from "../../src/log/files.ts";
import { decodePax, decodeTarHeader, TAR_BLOCK_BYTES, type TarHeader, tarPadding } from "./tar.ts";

interface Entry {
  readonly position: number;
  readonly bytes: number;
}

/** Pax records of one file: two lines. */
const PAX_BYTES_MAX = 64 * 1024;

export class TarFiles implements Files {
  readonly #archive: number;
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #handles = new Map<FileHandle, Entry>();
  #nextHandle = 1;

  /** @throws {EscError} VERIFY_FAILED if it is damaged or cut off. File errors are passed on. */
  constructor(path: string) {
    this.#archive = openSync(path, "r");
    try {
      this.#entries = this.#readEntries(path);
    } catch (error) {
      closeSync(this.#archive);
      throw error;
    }
  }

  /** Closes the archive itself. */
  dispose(): void {
    closeSync(this.#archive);
  }

  #readEntries(path: string): ReadonlyMap<string, Entry> {
    const entries = new Map<string, Entry>();
    const archiveBytes = fstatSync(this.#archive).size;
    const requireRoom = (end: number) => {
      if (end <= archiveBytes) return;
      throw new EscError("VERIFY_FAILED", `'${path}' is cut off: it ends before byte ${end}`);
    };
    let pax: Partial<TarHeader> = {};
    for (let at = 0;;) {
      requireRoom(at + TAR_BLOCK_BYTES);
      const header = decodeTarHeader(this.#load(at, TAR_BLOCK_BYTES));
      if (header === undefined) return entries;
      const { path: name, bytes, type } = { ...header, ...(header.type === "0" ? pax : {}) };
      const position = at + TAR_BLOCK_BYTES;
      at = position + bytes + tarPadding(bytes);
      requireRoom(at);
      pax = type === "x" ? decodePax(this.#load(position, Math.min(bytes, PAX_BYTES_MAX))) : {};
      // As `tar` itself stores what it is given: `./data/…`
      if (type === "0") entries.set(name.replace(/^\.\//, ""), { position, bytes });
    }
  }

  #load(position: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    readSync(this.#archive, bytes, 0, length, position);
    return bytes;
  }

  openRead(path: string): FileHandle {
    const entry = this.#entries.get(path);
    if (entry === undefined) throw fileError("ENOENT", `There is no '${path}' in the archive`);
    this.#handles.set(this.#nextHandle, entry);
    return this.#nextHandle++;
  }

  read(handle: FileHandle, bytes: Uint8Array, at: number, length: number, position: number): number {
    const entry = this.#entryOf(handle);
    const end = Math.min(length, entry.bytes - position);
    let done = 0;
    while (done < end) {
      const count = readSync(this.#archive, bytes, at + done, end - done, entry.position + position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  size(handle: FileHandle): number {
    return this.#entryOf(handle).bytes;
  }

  close(handle: FileHandle): void {
    this.#handles.delete(handle);
  }

  list(directory: string): string[] {
    const prefix = `${directory}/`;
    const names = new Set<string>();
    for (const path of this.#entries.keys()) {
      if (path.startsWith(prefix)) names.add(path.slice(prefix.length).replace(/\/.*$/, ""));
    }
    return [...names];
  }

  #entryOf(handle: FileHandle): Entry {
    const entry = this.#handles.get(handle);
    if (entry === undefined) throw fileError("EBADF", "The file is not open");
    return entry;
  }

  openWrite = refuse;
  create = refuse;
  write = refuse;
  sync = refuse;
  truncate = refuse;
  preallocate = refuse;
  makeDirectory = refuse;
  syncDirectory = refuse;
  rename = refuse;
  unlink = refuse;
  freeBytes = refuse;
}

function refuse(): never {
  throw fileError("EROFS", "An archive is only read");
}

function fileError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
