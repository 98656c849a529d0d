/**
 * Takes a backup of a data directory from its files, beside a running server or without one.
 *
 * First everything that points into the logs (positions of consumers, of tailed files, of the store), then the
 * logs: so no position is ahead of the log it speaks of. Of each log a prefix, as it was when its turn came:
 * finished segments whole, of the last one its whole batches, synced where they lie before they count.
 */
import { Database } from "bun:sqlite";
import { closeSync, openSync, readdirSync, readSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { EscError } from "../../src/errors.ts";
import { fileErrorCode } from "../../src/log/files.ts";
import { nodeFiles } from "../../src/log/node-files.ts";
import { findPrefix } from "../../src/log/prefix.ts";
import { listSegments, segmentPath } from "../../src/log/segments.ts";
import { type BackedUpFile, type Manifest, newManifest } from "./manifest.ts";
import { type BackupTarget, openTarget } from "./target.ts";

/** Hints that are made anew from the logs, what is being written, and what belongs to a running process. */
const LEFT_OUT = /^lock$|\.(?:log|idx|ids|new|log\.torn-.*)$|\.db-(?:wal|shm|journal)$/;
/** Times that a log is listed anew because its last segment was gone. */
const ATTEMPTS = 5;
const SQLITE_MAGIC = "SQLite format 3\0";

/** Where a shard's log lies, relative to the data directory. */
interface ShardFolder {
  readonly lane: string;
  readonly shard: number;
  readonly path: string;
}

/**
 * @param data Data directory. @param target A folder that does not exist or is empty, or a `.tar` file to make.
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
  const to = openTarget(target);
  try {
    const copier = new Copier(data, to, {
      scratch: `${target}.scratch`,
      onFile: options.onFile ?? (() => {}),
    });
    copier.copyPointers(data);
    const shards = folders.flatMap((folder) => copier.copyLog(folder));
    const manifest = newManifest(options.esc, shards, copier.files);
    to.finish(`${JSON.stringify(manifest, undefined, 2)}\n`);
    return manifest;
  } catch (error) {
    to.abort();
    throw error;
  }
}

class Copier {
  readonly files: BackedUpFile[] = [];
  readonly #data: string;
  readonly #target: BackupTarget;
  readonly #scratch: string;
  readonly #onFile: (path: string) => void;

  /** @param scratch A path beside the target that may be used meanwhile. */
  constructor(
    data: string,
    target: BackupTarget,
    { scratch, onFile }: { scratch: string; onFile: (path: string) => void },
  ) {
    this.#data = data;
    this.#target = target;
    this.#scratch = scratch;
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

  /** The last segment goes only where retention takes the whole log; then there is a new one. */
  copyLog(folder: ShardFolder): Manifest["shards"] {
    for (let attempt = 1;; attempt++) {
      try {
        return this.#copyLogOnce(folder);
      } catch (error) {
        if (fileErrorCode(error) !== "ENOENT" || attempt === ATTEMPTS) throw error;
      }
    }
  }

  /** Newest first: retention takes from the other end, and what it took leaves no hole behind it. */
  #copyLogOnce(folder: ShardFolder): Manifest["shards"] {
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

  /** @param name Of the file in the data directory, where that is not where it is read. */
  #copy(
    path: string,
    options: { name?: string; bytesMax?: number; syncsSource?: boolean } = {},
  ): void {
    const { bytesMax = Infinity, syncsSource = false } = options;
    const name = options.name ?? relative(this.#data, path);
    const handle = nodeFiles.openRead(path);
    try {
      // What is read is made durable where it lies, before it counts as backed up.
      if (syncsSource) nodeFiles.sync(handle);
      const bytes = Math.min(nodeFiles.size(handle), bytesMax);
      const copied = this.#target.add(name, { files: nodeFiles, handle, bytes });
      this.files.push({ path: name, ...copied });
    } finally {
      nodeFiles.close(handle);
    }
    this.#onFile(name);
  }

  /** A copy as of one transaction, whoever writes to it. */
  #copyDatabase(path: string): void {
    rmSync(this.#scratch, { force: true });
    try {
      const database = new Database(path, { readonly: true });
      try {
        database.run("VACUUM INTO ?", [this.#scratch]);
      } finally {
        database.close();
      }
      this.#copy(this.#scratch, { name: relative(this.#data, path) });
    } finally {
      rmSync(this.#scratch, { force: true });
    }
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
