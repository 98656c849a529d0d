/** Checks a backup, and puts it back. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { EscError } from "../../src/errors.ts";
import { describeDamage } from "../../src/log/damage.ts";
import { fileErrorCode, type Files } from "../../src/log/files.ts";
import { nodeFiles } from "../../src/log/node-files.ts";
import { verifySegments } from "../../src/log/verify.ts";
import { syncDirectory } from "../../src/system/directory-sync.ts";
import { copyBytes } from "./copy-bytes.ts";
import type { Manifest } from "./manifest.ts";
import { type BackupSource, openSource } from "./source.ts";

export interface Checked {
  readonly manifest: Manifest;
  /** Everything that is not as it should be, a sentence each. */
  readonly problems: readonly string[];
  /** Damage that the log had before it was backed up: it is kept as it was. */
  readonly damages: readonly string[];
}

/** Reads the whole backup: every file against its hash, every log against its offsets. */
export function checkBackup(backup: string, onFile: (path: string) => void = () => {}): Checked {
  const source = openSource(backup);
  try {
    const { manifest, files, root } = source;
    const problems: string[] = [];
    for (const file of manifest.files) {
      onFile(file.path);
      const problem = mismatch(source, file, () => {});
      if (problem !== undefined) problems.push(problem);
    }
    const logs = checkLogs(manifest, files, root);
    return { manifest, problems: [...problems, ...logs.problems], damages: logs.damages };
  } finally {
    source.close();
  }
}

/**
 * Copies a backup into a data directory that is empty or does not exist, and checks what it wrote.
 *
 * @throws {EscError} VERIFY_FAILED: nothing is left there. USAGE when something is there already.
 */
export function restoreBackup(
  backup: string,
  data: string,
  onFile: (path: string) => void = () => {},
): Checked {
  const wasThere = existsSync(data);
  if (wasThere && readdirSync(data).length > 0) {
    throw new EscError("USAGE", `'${data}' is not empty`, { hint: "Restore into a new data directory" });
  }
  const source = openSource(backup);
  try {
    const { manifest } = source;
    const folders = new Set<string>();
    for (const file of manifest.files) {
      onFile(file.path);
      const target = join(data, file.path);
      mkdirSync(dirname(target), { recursive: true });
      for (let folder = dirname(target); folder.length >= data.length; folder = dirname(folder)) {
        folders.add(folder);
      }
      const problem = restoreFile(source, file, target);
      if (problem !== undefined) throw new EscError("VERIFY_FAILED", `Cannot restore: ${problem}`);
    }
    for (const folder of folders) syncDirectory(folder);
    const { problems, damages } = checkLogs(manifest, nodeFiles, data);
    if (problems.length > 0) throw new EscError("VERIFY_FAILED", `Cannot restore: ${problems.join("; ")}`);
    return { manifest, problems, damages };
  } catch (error) {
    for (const name of existsSync(data) ? readdirSync(data) : []) {
      rmSync(join(data, name), { recursive: true, force: true });
    }
    if (!wasThere) rmSync(data, { recursive: true, force: true });
    throw error;
  } finally {
    source.close();
  }
}

/** Copies one file and makes it durable. @returns What is wrong with it. */
function restoreFile(
  source: BackupSource,
  file: Manifest["files"][number],
  target: string,
): string | undefined {
  const to = openSync(target, "wx", 0o600);
  try {
    const problem = mismatch(source, file, (bytes) => {
      for (let done = 0; done < bytes.length;) done += writeSync(to, bytes, done, bytes.length - done);
    });
    fsyncSync(to);
    return problem;
  } finally {
    closeSync(to);
  }
}

/** Reads one file, handing its bytes on. @returns What is wrong with it, `undefined` when it is as it was. */
function mismatch(
  { files, root }: BackupSource,
  file: Manifest["files"][number],
  write: (bytes: Uint8Array) => void,
): string | undefined {
  let handle: number;
  try {
    handle = files.openRead(join(root, file.path));
  } catch (error) {
    if (fileErrorCode(error) !== "ENOENT") throw error;
    return `'${file.path}' is missing`;
  }
  try {
    const bytes = files.size(handle);
    if (bytes !== file.bytes) return `'${file.path}' has ${bytes} bytes in place of ${file.bytes}`;
    const { sha256 } = copyBytes({ files, handle, bytes }, write);
    return sha256 === file.sha256 ? undefined : `'${file.path}' is not what was backed up`;
  } finally {
    files.close(handle);
  }
}

function checkLogs(
  manifest: Manifest,
  files: Files,
  data: string,
): { problems: string[]; damages: string[] } {
  const problems: string[] = [];
  const damages: string[] = [];
  for (const { lane, shard, first_offset, next_offset } of manifest.shards) {
    const segments = [...verifySegments(files, join(data, "log", lane, String(shard)))];
    const first = segments[0]?.baseOffset ?? 0;
    const next = segments.at(-1)?.endOffset ?? 0;
    if (first !== first_offset || next !== next_offset) {
      problems.push(
        `the log of ${lane}/${shard} holds offsets ${first} to ${next} in place of ${first_offset} to ${next_offset}`,
      );
    }
    damages.push(...segments.flatMap((segment) => segment.damages).map(describeDamage));
  }
  return { problems, damages };
}
