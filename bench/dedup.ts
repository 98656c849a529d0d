/**
 * The dedup table with a million ids in it: what a new id, a repeated id and the hash cost.
 *
 * Every answer is checked.
 *
 *     bun bench/dedup.ts
 */
import { cpus } from "node:os";
import { Dedup } from "../src/process/dedup.ts";
import { hashId } from "../src/process/id-hash.ts";

const ROUNDS = 7;
const RESIDENT = 1_000_000;
const OPERATIONS = 1_000_000;
const ID_BYTES = 20;

const ids = new Uint8Array((RESIDENT + OPERATIONS) * ID_BYTES);
for (let index = 0; index < RESIDENT + OPERATIONS; index++) {
  ids.set(Buffer.from(`producer-1:${String(index).padStart(9, "0")}`), index * ID_BYTES);
}
const hash = new Int32Array(2);

function low(index: number): number {
  hashId(ids, index * ID_BYTES, ID_BYTES, hash);
  return hash[0] as number;
}

function fill(): Dedup {
  const dedup = new Dedup({ idsMax: RESIDENT, windowMs: 3_600_000 });
  for (let index = 0; index < RESIDENT; index++) dedup.add(low(index), hash[1] as number, index, 0);
  return dedup;
}

/** Repeated ids, in scattered order. */
function repeats(dedup: Dedup): void {
  for (let step = 0; step < OPERATIONS; step++) {
    const index = (Math.imul(step + 1, 0x9e3779b1) >>> 0) % RESIDENT;
    if (dedup.find(low(index), hash[1] as number) !== index) throw new Error(`Id ${index} is not found`);
  }
}

/** New ids into a full table: each pushes the oldest out. */
function renews(dedup: Dedup): void {
  for (let step = 0; step < OPERATIONS; step++) {
    const word = low(RESIDENT + step);
    if (dedup.find(word, hash[1] as number) >= 0) throw new Error(`Id ${RESIDENT + step} is known`);
    dedup.add(word, hash[1] as number, RESIDENT + step, 0);
  }
}

function hashes(): void {
  let sum = 0;
  for (let index = 0; index < OPERATIONS; index++) sum ^= low(index);
  if (sum === 0) throw new Error("All hashes cancel each other");
}

function report(name: string, operation: (dedup: Dedup) => void): void {
  const figures = Array.from({ length: ROUNDS }, () => {
    const dedup = fill();
    const startedNs = Bun.nanoseconds();
    operation(dedup);
    return (Bun.nanoseconds() - startedNs) / OPERATIONS;
  }).sort((a, b) => a - b);
  const at = (index: number) => (figures[index] ?? NaN).toFixed(0);
  console.log(`${name.padEnd(34)} ${at(ROUNDS >> 1).padStart(5)} ns  (${at(0)} to ${at(ROUNDS - 1)})`);
}

console.log(
  `${
    cpus()[0]?.model ?? "unknown CPU"
  }, Bun ${Bun.version}; ${RESIDENT} ids of ${ID_BYTES} bytes; median of ${ROUNDS} (min to max)`,
);
report("hash alone", hashes);
report("repeated id: hash and find", repeats);
report("new id: hash, find, forget, add", renews);
