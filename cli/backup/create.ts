/**
 * Takes a backup of a data directory from its files, beside a running server or without one.
 *
 * First everything that points into the logs (positions of consumers, of tailed files, of the store), then the
 * logs: so no position is ahead of the log it speaks of. Of each log a prefix, as it was when its turn came:
 * finished segments whole, of the last one its whole batches, synced where they lie before they count.
 */
import { Database } from "bun:sqlite";
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { EscError } from "../../src/errors.ts";
import { replaceFile } from "../../src/deliver/replace-file.ts";
import { fileErrorCode } from "../../src/log/files.ts";
import { nodeFiles } from "../../src/log/node-files.ts";
import { findPrefix } from "../../src/log/prefix.ts";
import { listSegments, segmentPath } from "../../src/log/segments.ts";
import { syncDirectory } from "../../src/system/directory-sync.ts";
import {
  type BackedUpFile,
  copyHashed,
  DATA_NAME,
  type Manifest,
  MANIFEST_NAME,
  newManifest,
} from "./manifest.ts";

/** Hints that are made anew from the logs, what is being written, and what belongs to a running process. */
const LEFT_OUT = /^lock$|\.(?:log|idx|ids|new|log\.torn-.*)$|\.db-(?:wal|shm|journal)$/;
const SQLITE_MAGIC = "SQLite format 3\0";

/** Where a shard's log lies, relative to the data directory. */
interface ShardFolder {
  readonly lane: string;
  readonly shard: number;
  readonly path: string;
}

/**
 * @param data Data directory. @param target A folder that does not exist or is empty.
 * @param onFile Told of each file when it is copied.
 * @throws {EscError} NOT_FOUND, USAGE; file errors are passed on, and the unfinished backup is removed.
 */
export function createBackup(
  data: string,
  target: string,
  options: { esc: string; onFile?: (path: string) => void },
): Manifest {
  const folders = shardFolders(data);
  if (folders.length === 0) {
    throw new EscError("NOT_FOUND", `There is no log in '${data}'`, {
      hint: "Name the data directory with --data (data.dir of the configuration)",
    });
  }
  mkdirSync(target, { recursive: true });
  if (readdirSync(target).length > 0) throw new EscError("USAGE", `'${target}' is not empty`);
  try {
    const copier = new Copier(data, join(target, DATA_NAME), options.onFile);
    copier.copyPointers(data);
    const shards = folders.flatMap((folder) => copier.copyLog(folder));
    copier.syncFolders();
    const manifest = newManifest(options.esc, shards, copier.files);
    replaceFile(join(target, MANIFEST_NAME), `${JSON.stringify(manifest, undefined, 2)}\n`);
    syncDirectory(target);
    return manifest;
  } catch (error) {
    rmSync(target, { recursive: true, force: true });
    throw error;
  }
}

class Copier {
  readonly files: BackedUpFile[] = [];
  readonly #data: string;
  readonly #target: string;
  readonly #onFile: (path: string) => void;
  readonly #folders = new Set<string>();

  constructor(data: string, target: string, onFile: (path: string) => void = () => {}) {
    this.#data = data;
    this.#target = target;
    this.#onFile = onFile;
  }

  /** Copies everything that is not a log, folder by folder. */
  copyPointers(folder: string): void {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) this.copyPointers(path);
      else if (entry.isFile() && !LEFT_OUT.test(entry.name)) this.#copyIfThere(path);
    }
  }

  /** Newest first: retention takes from the other end, and what it took leaves no hole behind it. */
  copyLog(folder: ShardFolder): Manifest["shards"] {
    const directory = join(this.#data, folder.path);
    const bases = listSegments(nodeFiles, directory);
    const last = bases.at(-1);
    if (last === undefined) return [];
    const { endPosition, nextOffset } = findPrefix(nodeFiles, directory, last);
    this.#copy(segmentPath(directory, last, "log"), { bytesMax: endPosition, syncsSource: true });
    let first = last;
    for (const base of bases.slice(0, -1).reverse()) {
      if (!this.#copyIfThere(segmentPath(directory, base, "log"))) break;
      first = base;
    }
    return [{ lane: folder.lane, shard: folder.shard, first_offset: first, next_offset: nextOffset }];
  }

  syncFolders(): void {
    for (const folder of this.#folders) syncDirectory(folder);
  }

  /** @returns `false` if it was removed meanwhile. */
  #copyIfThere(path: string): boolean {
    try {
      if (isSqlite(path)) this.#copyDatabase(path);
      else this.#copy(path);
      return true;
    } catch (error) {
      if (fileErrorCode(error) !== "ENOENT") throw error;
      return false;
    }
  }

  #copy(path: string, options: { bytesMax?: number; syncsSource?: boolean } = {}): void {
    const to = this.#place(path);
    this.#note(path, copyHashed(path, to, options));
  }

  /** A copy as of one transaction, whoever writes to it. */
  #copyDatabase(path: string): void {
    const to = this.#place(path);
    const database = new Database(path, { readonly: true });
    try {
      database.run("VACUUM INTO ?", [to]);
    } finally {
      database.close();
    }
    this.#note(path, copyHashed(to, undefined, { syncsSource: true }));
  }

  #note(path: string, copied: { bytes: number; sha256: string }): void {
    const name = relative(this.#data, path);
    this.files.push({ path: name, ...copied });
    this.#onFile(name);
  }

  #place(path: string): string {
    const to = join(this.#target, relative(this.#data, path));
    mkdirSync(dirname(to), { recursive: true });
    // The new folder's own name lies in the one above.
    for (let folder = dirname(to); folder.length >= this.#target.length; folder = dirname(folder)) {
      this.#folders.add(folder);
    }
    return to;
  }
}

function shardFolders(data: string): ShardFolder[] {
  const found: ShardFolder[] = [];
  for (const lane of foldersOf(join(data, "log"))) {
    for (const shard of foldersOf(join(data, "log", lane))) {
      if (/^\d+$/.test(shard)) found.push({ lane, shard: Number(shard), path: join("log", lane, shard) });
    }
  }
  return found;
}

function foldersOf(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (fileErrorCode(error) === "ENOENT") return [];
    throw error;
  }
}

function isSqlite(path: string): boolean {
  if (!path.endsWith(".db")) return false;
  const file = openSync(path, "r");
  try {
    const bytes = new Uint8Array(SQLITE_MAGIC.length);
    return readSync(file, bytes, 0, bytes.length, 0) === bytes.length &&
      Buffer.from(bytes).toString("latin1") === SQLITE_MAGIC;
  } finally {
    closeSync(file);
  }
}
