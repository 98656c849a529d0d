/**
 * The hash that spreads topics and keys over shards. Its values decide in which log an event lies, so
 * they must never change: `tests/dispatch/hash.test.ts` pins them.
 */

/** FNV-1a over the bytes, then the finaliser of MurmurHash3: 32 bits, unsigned. */
export function hashBytes(bytes: Uint8Array, at: number, length: number): number {
  let hash = 0x811c9dc5;
  for (let index = at, end = at + length; index < end; index++) {
    hash = Math.imul(hash ^ (bytes[index] as number), 0x01000193);
  }
  // FNV alone leaves the low bits of short inputs correlated, and shard counts are small.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
