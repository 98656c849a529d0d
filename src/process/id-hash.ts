/**
 * The 64-bit hash of a message id, as two words: what the dedup table and the log's id files hold in place
 * of the id itself.
 *
 * Two different ids with the same hash would make the second a false duplicate: with 1 M ids in the table the
 * chance for a new one is 1 M / 2^64, one in 18 million million. Changing the function changes `ID_HASH`.
 */

/** Number of this function in the log's id files: another number there means they are not used. */
export const ID_HASH = 1;

/** Receives the hash: `words[0]` low, `words[1]` high. */
export type HashWords = Int32Array;

/** Two multiply-and-rotate lanes over 4-byte blocks (MurmurHash3's), crossed at the end. Id: 1..64 bytes. */
export function hashId(bytes: Uint8Array, at: number, length: number, words: HashWords): void {
  let low = length ^ 0x9e3779b9;
  let high = length ^ 0x7f4a7c15;
  const end = at + length;
  for (let index = at; index < end; index += 4) {
    let block = bytes[index] as number;
    if (index + 1 < end) block |= (bytes[index + 1] as number) << 8;
    if (index + 2 < end) block |= (bytes[index + 2] as number) << 16;
    if (index + 3 < end) block |= (bytes[index + 3] as number) << 24;
    const first = Math.imul(block, 0xcc9e2d51);
    low ^= Math.imul((first << 15) | (first >>> 17), 0x1b873593);
    low = Math.imul((low << 13) | (low >>> 19), 5) + 0xe6546b64 | 0;
    const second = Math.imul(block, 0x239b961b);
    high ^= Math.imul((second << 16) | (second >>> 16), 0xab0e9789);
    high = Math.imul((high << 17) | (high >>> 15), 5) + 0x561ccd1b | 0;
  }
  low = low + high | 0;
  high = high + low | 0;
  low = mix(low);
  high = mix(high ^ 0x52dce729);
  words[0] = low + high | 0;
  words[1] = (low + (high << 1)) | 0;
}

function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
