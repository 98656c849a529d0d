/**
 * CRC-32 (IEEE 802.3, reflected 0xEDB88320, as zlib) of the bodies of frames.
 *
 * Small bodies go through tables in JavaScript (slicing by 8), large ones through the runtime's
 * vectorised routine, whose call and view cost more than a small body does.
 */

/** From this many bytes on the runtime's routine wins; measured by `bench/decode.ts`. */
const NATIVE_BYTES_MIN = 128;

/** Clients run this file on other runtimes, too, which have the tables only. */
const IS_BUN = typeof Bun !== "undefined";

const TABLES = makeTables();

/** tables[k * 256 + b]: CRC of byte b followed by k zero bytes. */
function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at++) {
    const previous = tables[at - 256] as number;
    tables[at] = (previous >>> 8) ^ (tables[previous & 0xff] as number);
  }
  return tables;
}

/** CRC of `bytes[from..to)`, unsigned. @param view The same memory as `bytes`, index for index. */
export function crc32(bytes: Uint8Array, view: DataView, from: number, to: number): number {
  if (IS_BUN && to - from >= NATIVE_BYTES_MIN) return Bun.hash.crc32(bytes.subarray(from, to));
  return crc32ByTables(bytes, view, from, to);
}

/** The table version for any length. */
export function crc32ByTables(bytes: Uint8Array, view: DataView, from: number, to: number): number {
  const tables = TABLES;
  let crc = -1;
  let at = from;
  for (; at + 8 <= to; at += 8) {
    const low = crc ^ view.getInt32(at, true);
    const high = view.getInt32(at + 4, true);
    crc = (tables[0x700 | (low & 0xff)] as number) ^
      (tables[0x600 | ((low >>> 8) & 0xff)] as number) ^
      (tables[0x500 | ((low >>> 16) & 0xff)] as number) ^
      (tables[0x400 | (low >>> 24)] as number) ^
      (tables[0x300 | (high & 0xff)] as number) ^
      (tables[0x200 | ((high >>> 8) & 0xff)] as number) ^
      (tables[0x100 | ((high >>> 16) & 0xff)] as number) ^
      (tables[high >>> 24] as number);
  }
  for (; at < to; at++) crc = (crc >>> 8) ^ (tables[(crc ^ (bytes[at] as number)) & 0xff] as number);
  return ~crc >>> 0;
}
