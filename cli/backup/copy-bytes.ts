/** Reads a file once, hashes it on the way, and hands its bytes on. */
import type { FileHandle, Files } from "../../src/log/files.ts";

const CHUNK_BYTES = 1 << 20;

/** The first bytes of a file. */
export interface OpenFile {
  readonly files: Files;
  readonly handle: FileHandle;
  readonly bytes: number;
}

/** What was read of a file. */
export interface CopiedBytes {
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Hands on exactly `file.bytes` bytes. Where the file has become shorter meanwhile, zeros stand for the rest: a
 * segment gives back the room it has not used, which was zeros.
 *
 * @param write Must be done with the bytes when it returns.
 */
export function copyBytes(file: OpenFile, write: (bytes: Uint8Array) => void): CopiedBytes {
  const { files, handle, bytes } = file;
  const hasher = new Bun.CryptoHasher("sha256");
  const buffer = new Uint8Array(Math.min(CHUNK_BYTES, bytes));
  for (let position = 0; position < bytes;) {
    const wanted = Math.min(buffer.length, bytes - position);
    const length = files.read(handle, buffer, 0, wanted, position);
    buffer.fill(0, length, wanted);
    const chunk = buffer.subarray(0, wanted);
    hasher.update(chunk);
    write(chunk);
    position += wanted;
  }
  return { bytes, sha256: hasher.digest("hex") };
}
