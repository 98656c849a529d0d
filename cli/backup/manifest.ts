/**
 * What a backup says of itself: every file with its size and hash, every shard with its offsets.
 *
 *     manifest.json     written last: a folder or an archive without it is no backup
 *     data/…            the files, where they lay in the data directory
 */
import { z } from "zod";
import { EscError } from "../../src/errors.ts";

export const MANIFEST_NAME = "manifest.json";
export const DATA_NAME = "data";
const FORMAT = 1;
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

/** @throws {EscError} VERIFY_FAILED when the text is no manifest. */
export function parseManifest(text: string, backup: string): Manifest {
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new EscError("VERIFY_FAILED", `The manifest of '${backup}' cannot be used`, { cause });
  }
}
