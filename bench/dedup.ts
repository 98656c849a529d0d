/** The dedup table with a million ids in it. Every answer is checked. */
import { Dedup, UNKNOWN_ID } from "../src/process/dedup.ts";
import { hashId } from "../src/process/id-hash.ts";
import { type Benchmark, type BenchOptions, type Case, scaled } from "./benchmark.ts";
import { threadNs } from "./thread-time.ts";
import type { Published } from "./figure.ts";

const RESIDENT = 1_000_000;
const ID_BYTES = 20;
const PUBLISHED = { eventsPerS: 71e6, p50Ns: 14, p99Ns: 32 };

export const dedup: Benchmark = {
  summary: "message ids, one million of them resident",
  open: (options) => {
    const table = new Ids(options);
    return [
      table.lookups("known ids, hash given", 1, PUBLISHED),
      table.lookups("unknown ids, hash given", 0, PUBLISHED),
      table.lookups("half known, half unknown, hash given", 0.5, PUBLISHED),
      table.hashes(),
      table.renewals(),
    ];
  },
};

/** Ids as bytes and as hashes, the first million of them in the table, and more that are not. */
class Ids {
  readonly #count: number;
  readonly #bytes: Uint8Array;
  readonly #hashes: Int32Array;
  readonly #dedup = new Dedup({ idsMax: RESIDENT, windowMs: 3_600_000 });
  readonly #hash = new Int32Array(2);

  constructor(options: BenchOptions) {
    this.#count = scaled(RESIDENT, options);
    const all = RESIDENT + this.#count;
    this.#bytes = new Uint8Array(all * ID_BYTES);
    this.#hashes = new Int32Array(all * 2);
    for (let index = 0; index < all; index++) {
      this.#bytes.set(Buffer.from(`producer-1:${String(index).padStart(9, "0")}`), index * ID_BYTES);
      hashId(this.#bytes, index * ID_BYTES, ID_BYTES, this.#hash);
      this.#hashes.set(this.#hash, index * 2);
    }
    for (let index = 0; index < RESIDENT; index++) {
      this.#dedup.add(this.#hashes[index * 2] as number, this.#hashes[index * 2 + 1] as number, index, 0);
    }
  }

  /** Looks ids up in an order without a pattern. @param known Share of them that the table has. */
  lookups(name: string, known: number, published: Published): Case {
    const count = this.#count;
    const hashes = this.#hashes;
    // Laid out beforehand: what is measured is the table, not where the hashes come from.
    const asked = new Int32Array(count * 2);
    let sum = 0;
    for (let step = 0; step < count; step++) {
      const isKnown = (Math.imul(step + 1, 0x85ebca6b) >>> 0) / 2 ** 32 < known;
      const index = isKnown ? (Math.imul(step + 1, 0x9e3779b1) >>> 0) % RESIDENT : RESIDENT + step;
      asked.set(hashes.subarray(index * 2, index * 2 + 2), step * 2);
      sum += isKnown ? index : UNKNOWN_ID;
    }
    const table = this.#dedup;
    let next = 0;
    return {
      name,
      published,
      operation: () => {
        table.find(asked[next * 2] as number, asked[next * 2 + 1] as number);
        next = next + 1 === count ? 0 : next + 1;
      },
      round: () => {
        let found = 0;
        const startedNs = threadNs();
        for (let step = 0; step < count; step++) {
          found += table.find(asked[step * 2] as number, asked[step * 2 + 1] as number);
        }
        const ns = threadNs() - startedNs;
        if (found !== sum) throw new Error(`The offsets found add up to ${found} instead of ${sum}`);
        return { operations: count, ns };
      },
    };
  }

  hashes(): Case {
    return {
      name: `hash of an id of ${ID_BYTES} bytes`,
      round: () => {
        let sum = 0;
        const startedNs = threadNs();
        for (let index = 0; index < this.#count; index++) {
          hashId(this.#bytes, index * ID_BYTES, ID_BYTES, this.#hash);
          sum ^= this.#hash[0] as number;
        }
        const ns = threadNs() - startedNs;
        for (let index = 0; index < this.#count; index++) sum ^= this.#hashes[index * 2] as number;
        if (sum !== 0) throw new Error("Two hashes of the same id differ");
        return { operations: this.#count, ns };
      },
    };
  }

  /** New ids into the full table, each of which pushes the oldest out. */
  renewals(): Case {
    const dedup = new Dedup({ idsMax: RESIDENT, windowMs: 3_600_000 });
    let at = 0;
    const all = RESIDENT + this.#count;
    const add = () => {
      // Once around all ids: by then the one that comes again was forgotten long ago, unless scaled down.
      const index = at % all;
      hashId(this.#bytes, index * ID_BYTES, ID_BYTES, this.#hash);
      const [low, high] = [this.#hash[0] as number, this.#hash[1] as number];
      if (dedup.find(low, high) === UNKNOWN_ID) dedup.add(low, high, at, 0);
      at++;
    };
    while (at < RESIDENT) add();
    return {
      name: "new id: hash, find, forget the oldest, add",
      round: () => {
        const startedNs = threadNs();
        for (let step = 0; step < this.#count; step++) add();
        const ns = threadNs() - startedNs;
        if (dedup.count !== RESIDENT) throw new Error(`The table holds ${dedup.count} ids`);
        return { operations: this.#count, ns };
      },
    };
  }
}
