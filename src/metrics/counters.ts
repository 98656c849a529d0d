/**
 * Counters that many threads may read and exactly one thread writes: no locks, no lost updates.
 *
 * A block belongs to one writer thread. A value is a double (exact up to 2^53) in shared memory;
 * aligned 64-bit stores are not torn on the 64-bit machines esc runs on. Writers add once a batch.
 * A worker that is restarted goes on from the value it finds.
 */

/** Allocates a block of `length` counters, all 0. */
export function createCounters(length: number): SharedArrayBuffer {
  return new SharedArrayBuffer(length * Float64Array.BYTES_PER_ELEMENT);
}

/** Opens a block. Only its owner may write. */
export function openCounters(memory: SharedArrayBuffer): Float64Array {
  return new Float64Array(memory);
}

/** Adds to a counter of one's own block. */
export function count(counters: Float64Array, index: number, by: number): void {
  counters[index] = (counters[index] as number) + by;
}
