/**
 * What a backup says of itself: every file with its size and hash, every shard with its offsets.
 *
 *     <backup>/manifest.json     written last: a folder without it is no backup
 *     <backup>/data/…            the files, where they lay in the data directory
 */
import { closeSync, fsyncSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { EscError } from "../../src/errors.ts";

export const MANIFEST_NAME = "manifest.json";
export const DATA_NAME = "data";
const FORMAT = 1;
const CHUNK_BYTES = 1 << 20;
const PATH = /^(?!\/)(?!.*(?:^|\/)\.\.(?:\/|$)).+$/;

const count = z.int().min(0);
const fileSchema = z.strictObject({
  path: z.string().regex(PATH, "Not a path inside the backup"),
  bytes: count,
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
const manifestSchema = z.strictObject({
  format: z.literal(FORMAT),
  esc: z.string(),
  created_us: count,
  shards: z.array(z.strictObject({
    lane: z.string(),
    shard: count,
    first_offset: count,
    next_offset: count,
  })),
  files: z.array(fileSchema),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type BackedUpFile = z.infer<typeof fileSchema>;

/** The manifest of these files, as of now. */
export function newManifest(
  esc: string,
  shards: Manifest["shards"],
  files: readonly BackedUpFile[],
): Manifest {
  return { format: FORMAT, esc, created_us: Date.now() * 1000, shards, files: [...files] };
}

/** @throws {EscError} NOT_FOUND when it is no backup; VERIFY_FAILED when its manifest is damaged. */
export function readManifest(backup: string): Manifest {
  let text: string;
  try {
    text = readFileSync(join(backup, MANIFEST_NAME), "utf8");
  } catch (cause) {
    throw new EscError("NOT_FOUND", `There is no backup in '${backup}'`, {
      cause,
      hint: `Name the folder that 'esc backup' made; without its ${MANIFEST_NAME} a backup is not complete`,
    });
  }
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new EscError("VERIFY_FAILED", `The manifest of '${backup}' cannot be used`, { cause });
  }
}

/** What was read of a file. */
export interface CopiedBytes {
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Reads a file, hashes it, and writes it to `target` if there is one, synced.
 *
 * @param bytesMax Only so many of its first bytes.
 * @param syncsSource Makes what is read durable where it lies, too, before it counts as backed up.
 */
export function copyHashed(
  source: string,
  target: string | undefined,
  options: { bytesMax?: number; syncsSource?: boolean } = {},
): CopiedBytes {
  const { bytesMax = Infinity, syncsSource = false } = options;
  const from = openSync(source, "r");
  try {
    if (syncsSource) fsyncSync(from);
    const to = target === undefined ? undefined : openSync(target, "wx", 0o600);
    try {
      const copied = pump(from, to, bytesMax);
      if (to !== undefined) fsyncSync(to);
      return copied;
    } finally {
      if (to !== undefined) closeSync(to);
    }
  } finally {
    closeSync(from);
  }
}

function pump(from: number, to: number | undefined, bytesMax: number): CopiedBytes {
  const hasher = new Bun.CryptoHasher("sha256");
  const chunk = new Uint8Array(CHUNK_BYTES);
  let bytes = 0;
  while (bytes < bytesMax) {
    const length = readSync(from, chunk, 0, Math.min(CHUNK_BYTES, bytesMax - bytes), bytes);
    if (length === 0) break;
    hasher.update(chunk.subarray(0, length));
    for (let done = 0; to !== undefined && done < length;) {
      done += writeSync(to, chunk, done, length - done, bytes + done);
    }
    bytes += length;
  }
  return { bytes, sha256: hasher.digest("hex") };
}
