/**
 * Headers of a tar archive, as POSIX has them (ustar, with pax records for what does not fit): a name or a size too
 * large for its field goes into a header of type `x` before the file's own.
 *
 *     512 bytes  name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | sum 8 | type 1 | link 100 | "ustar" 00 | …
 *     content, filled up with zeros to a multiple of 512            at the end of the archive: 1,024 zeros
 */
import { EscError } from "../../src/errors.ts";

export const TAR_BLOCK_BYTES = 512;
export const TAR_END_BYTES = 2 * TAR_BLOCK_BYTES;

const NAME_BYTES_MAX = 100;
const SIZE_MAX = 8 ** 11 - 1;
const SUM_AT = 148;
const SUM_BYTES = 8;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface TarHeader {
  readonly path: string;
  readonly bytes: number;
  /** `0` a file, `x` pax records about the next header; others are passed over. */
  readonly type: string;
}

/** Zeros that follow a content of so many bytes. */
export function tarPadding(bytes: number): number {
  return (TAR_BLOCK_BYTES - bytes % TAR_BLOCK_BYTES) % TAR_BLOCK_BYTES;
}

/** Everything before the content of a file. @param modifiedS Seconds since the Unix epoch. */
export function encodeTarHeaders(path: string, bytes: number, modifiedS: number): Uint8Array {
  const records: string[] = [];
  if (encoder.encode(path).length > NAME_BYTES_MAX) records.push(paxRecord("path", path));
  if (bytes > SIZE_MAX) records.push(paxRecord("size", String(bytes)));
  const own = encodeHeader({ path, bytes: Math.min(bytes, SIZE_MAX), type: "0" }, modifiedS);
  if (records.length === 0) return own;
  const pax = encoder.encode(records.join(""));
  const before = encodeHeader({ path: "pax", bytes: pax.length, type: "x" }, modifiedS);
  return Buffer.concat([before, pax, new Uint8Array(tarPadding(pax.length)), own]);
}

function encodeHeader({ path, bytes, type }: TarHeader, modifiedS: number): Uint8Array {
  const block = new Uint8Array(TAR_BLOCK_BYTES);
  const put = (at: number, text: string, bytesMax: number) =>
    block.set(encoder.encode(text).subarray(0, bytesMax), at);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  put(0, path, NAME_BYTES_MAX);
  put(100, octal(0o600, 7), 8);
  put(108, octal(0, 7), 8);
  put(116, octal(0, 7), 8);
  put(124, octal(bytes, 11), 12);
  put(136, octal(modifiedS, 11), 12);
  put(156, type, 1);
  put(257, "ustar\x0000", 8);
  put(SUM_AT, `${octal(sumOf(block), 6)}\0 `, SUM_BYTES);
  return block;
}

/** `<length of the record> <key>=<value>\n`; the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = encoder.encode(` ${key}=${value}\n`).length;
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

/**
 * Reads the header at the start of `block`.
 *
 * @returns `undefined` for zeros: the end of the archive.
 * @throws {EscError} VERIFY_FAILED if it is no header.
 */
export function decodeTarHeader(block: Uint8Array): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  const text = (at: number, bytes: number) =>
    decoder.decode(block.subarray(at, at + bytes)).replace(/\0.*$/s, "");
  const magic = text(257, 5);
  if (magic !== "ustar" || parseInt(text(SUM_AT, SUM_BYTES), 8) !== sumOf(block)) {
    throw new EscError("VERIFY_FAILED", "The archive is damaged: there is no tar header where one belongs");
  }
  const prefix = text(345, 155);
  const name = text(0, NAME_BYTES_MAX);
  return {
    path: prefix === "" ? name : `${prefix}/${name}`,
    bytes: parseInt(text(124, 12), 8),
    type: text(156, 1) === "" ? "0" : text(156, 1),
  };
}

/** What pax records say about the header behind them. */
export function decodePax(bytes: Uint8Array): Partial<TarHeader> {
  const text = decoder.decode(bytes);
  const path = /(?:^|\n)\d+ path=(.*)\n/.exec(text)?.[1];
  const size = /(?:^|\n)\d+ size=(\d+)\n/.exec(text)?.[1];
  return { ...(path === undefined ? {} : { path }), ...(size === undefined ? {} : { bytes: Number(size) }) };
}

/** Sum of all bytes, those of the sum itself taken as blanks. */
function sumOf(block: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < TAR_BLOCK_BYTES; at++) {
    sum += at >= SUM_AT && at < SUM_AT + SUM_BYTES ? 0x20 : block[at] as number;
  }
  return sum;
}
