/** A backup that was made, whichever form it has. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { EscError } from "../../src/errors.ts";
import { fileErrorCode, type Files } from "../../src/log/files.ts";
import { nodeFiles } from "../../src/log/node-files.ts";
import { DATA_NAME, type Manifest, MANIFEST_NAME, parseManifest } from "./manifest.ts";
import { TarFiles } from "./tar-files.ts";

export interface BackupSource {
  readonly manifest: Manifest;
  /** Reads its files; `root` is where the data directory lies among them. */
  readonly files: Files;
  readonly root: string;
  close(): void;
}

const HINT =
  `Name the folder or the .tar file that 'esc backup' made; without its ${MANIFEST_NAME} a backup is not complete`;

/** @throws {EscError} NOT_FOUND when it is no backup; VERIFY_FAILED when it is damaged. */
export function openSource(path: string): BackupSource {
  if (!isFile(path)) {
    const manifest = readManifest(nodeFiles, join(path, MANIFEST_NAME), path);
    return { manifest, files: nodeFiles, root: join(path, DATA_NAME), close: () => {} };
  }
  const files = new TarFiles(path);
  try {
    const manifest = readManifest(files, MANIFEST_NAME, path);
    return { manifest, files, root: DATA_NAME, close: () => files.dispose() };
  } catch (error) {
    files.dispose();
    throw error;
  }
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch (error) {
    if (fileErrorCode(error) === "ENOENT") return false;
    throw error;
  }
}

function readManifest(files: Files, path: string, backup: string): Manifest {
  let handle: number;
  try {
    handle = files.openRead(path);
  } catch (cause) {
    throw new EscError("NOT_FOUND", `There is no backup in '${backup}'`, { cause, hint: HINT });
  }
  try {
    const bytes = new Uint8Array(files.size(handle));
    files.read(handle, bytes, 0, bytes.length, 0);
    return parseManifest(new TextDecoder().decode(bytes), backup);
  } finally {
    files.close(handle);
  }
}
