/**
 * Counts what lies in a ring, from a thread that neither writes nor reads it: nobody waits, nothing is marked.
 *
 * Between the two cursors every record is whole, as long as the writer has not come round to it meanwhile. So the
 * cursors are looked at again afterwards, and a count that may have met overwritten records is thrown away.
 */
import type { RingMemory } from "./ring.ts";
import { CURSOR_HEAD, CURSOR_TAIL, NOTE_PROGRESS_COUNT, RING_PAD } from "./ring.ts";

const UNIT_SHIFT = 3;
/** Counts that may be in vain, in a ring that is turned over while it is counted. */
const ATTEMPTS = 8;

/**
 * Adds up one word of every record that is published and not freed.
 *
 * @param word Which word of the record, 0 its length. Records must have it.
 * @returns The sum, less what the reader has noted as done of the first record; `undefined` if the ring did not keep
 *   still. What is published or freed during the call may or may not be in it.
 */
export function sumRing({ control: memory, data }: RingMemory, word: number): number | undefined {
  const control = new Int32Array(memory);
  const words = new Int32Array(data);
  const unitCount = data.byteLength >> UNIT_SHIFT;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const head = Atomics.load(control, CURSOR_HEAD);
    const done = control[NOTE_PROGRESS_COUNT] as number;
    const tail = Atomics.load(control, CURSOR_TAIL);
    const sum = sumBetween(words, { head, tail, unitCount, word });
    if (sum === undefined) continue;
    const isStill = Atomics.load(control, CURSOR_HEAD) === head;
    // Half a ring is more than a writer fills before it publishes: it has not come round.
    const isFar = ((Atomics.load(control, CURSOR_TAIL) - head) | 0) <= unitCount >> 1;
    if (isStill || isFar) return Math.max(0, sum - done);
  }
  return undefined;
}

/** @returns `undefined` when a record makes no sense: it was overwritten. */
function sumBetween(
  words: Int32Array,
  { head, tail, unitCount, word }: { head: number; tail: number; unitCount: number; word: number },
): number | undefined {
  let sum = 0;
  for (let cursor = head; cursor !== tail;) {
    const at = cursor & (unitCount - 1);
    const length = words[at << 1] as number;
    const isPad = length === RING_PAD;
    const units = isPad ? unitCount - at : (length + 7) >> UNIT_SHIFT;
    if (units < 1 || at + units > unitCount || ((tail - cursor) | 0) < units) return undefined;
    if (!isPad) sum += words[(at << 1) + word] as number;
    cursor = (cursor + units) | 0;
  }
  return sum;
}
