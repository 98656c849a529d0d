/** Where a backup is written: into a new folder, or into one tar file with the same content. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { EscError } from "../../src/errors.ts";
import { replaceFile } from "../../src/deliver/replace-file.ts";
import { syncDirectory } from "../../src/system/directory-sync.ts";
import { type CopiedBytes, copyBytes, type OpenFile } from "./copy-bytes.ts";
import { DATA_NAME, MANIFEST_NAME } from "./manifest.ts";
import { encodeTarHeaders, TAR_END_BYTES, tarPadding } from "./tar.ts";

export interface BackupTarget {
  /** Copies a file of the data directory, `path` relative to that. */
  add(path: string, file: OpenFile): CopiedBytes;
  /** Writes the manifest and makes all of it durable: only now it is a backup. */
  finish(manifest: string): void;
  /** Removes what was written. */
  abort(): void;
}

/** @param path Ends in `.tar`, or is a folder to make. @throws {EscError} USAGE when something is there already. */
export function openTarget(path: string): BackupTarget {
  return path.endsWith(".tar") ? new TarTarget(path) : new FolderTarget(path);
}

class FolderTarget implements BackupTarget {
  readonly #path: string;
  readonly #folders = new Set<string>();

  constructor(path: string) {
    mkdirSync(path, { recursive: true });
    if (readdirSync(path).length > 0) throw new EscError("USAGE", `'${path}' is not empty`);
    this.#path = path;
  }

  add(path: string, file: OpenFile): CopiedBytes {
    const to = join(this.#path, DATA_NAME, path);
    mkdirSync(dirname(to), { recursive: true });
    // The new folder's own name lies in the one above.
    for (let folder = dirname(to); folder.length >= this.#path.length; folder = dirname(folder)) {
      this.#folders.add(folder);
    }
    const handle = openSync(to, "wx", 0o600);
    try {
      const copied = copyBytes(file, (bytes) => writeAll(handle, bytes));
      fsyncSync(handle);
      return copied;
    } finally {
      closeSync(handle);
    }
  }

  finish(manifest: string): void {
    for (const folder of this.#folders) syncDirectory(folder);
    replaceFile(join(this.#path, MANIFEST_NAME), manifest);
    syncDirectory(this.#path);
  }

  abort(): void {
    rmSync(this.#path, { recursive: true, force: true });
  }
}

/** Written under another name until it is whole; the manifest comes last, when all hashes are known. */
class TarTarget implements BackupTarget {
  readonly #path: string;
  readonly #partPath: string;
  readonly #handle: number;
  readonly #modifiedS = Math.floor(Date.now() / 1000);

  constructor(path: string) {
    if (existsSync(path)) throw new EscError("USAGE", `'${path}' exists`);
    this.#path = path;
    this.#partPath = `${path}.part`;
    mkdirSync(dirname(path), { recursive: true });
    this.#handle = openSync(this.#partPath, "w", 0o600);
  }

  add(path: string, file: OpenFile): CopiedBytes {
    return this.#addEntry(`${DATA_NAME}/${path}`, file.bytes, (write) => copyBytes(file, write));
  }

  finish(manifest: string): void {
    const bytes = new TextEncoder().encode(manifest);
    this.#addEntry(MANIFEST_NAME, bytes.length, (write) => write(bytes));
    writeAll(this.#handle, new Uint8Array(TAR_END_BYTES));
    fsyncSync(this.#handle);
    closeSync(this.#handle);
    renameSync(this.#partPath, this.#path);
    syncDirectory(dirname(this.#path));
  }

  abort(): void {
    closeSync(this.#handle);
    rmSync(this.#partPath, { force: true });
  }

  /** @param bytes The content is exactly as long. */
  #addEntry<Result>(
    path: string,
    bytes: number,
    content: (write: (bytes: Uint8Array) => void) => Result,
  ): Result {
    writeAll(this.#handle, encodeTarHeaders(path, bytes, this.#modifiedS));
    const result = content((chunk) => writeAll(this.#handle, chunk));
    writeAll(this.#handle, new Uint8Array(tarPadding(bytes)));
    return result;
  }
}

function writeAll(handle: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) done += writeSync(handle, bytes, done, bytes.length - done);
}
