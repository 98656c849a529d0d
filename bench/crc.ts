/** CRC-32 of a frame's body, by tables and by the runtime: where the two ways cross, and what a frame costs. */
import { crc32, crc32ByTables } from "../src/event/crc.ts";
import { type Benchmark, type Case, scaled } from "./benchmark.ts";
import { threadNs } from "./thread-time.ts";

const LENGTHS = [64, 128, 256, 1024, 65_536];

export const crc: Benchmark = {
  summary: "CRC-32 of one frame",
  open: (options) => LENGTHS.map((length): Case => sum(length, scaled(2e8 / (length + 1000), options))),
};

function sum(length: number, count: number): Case {
  const bytes = crypto.getRandomValues(new Uint8Array(length + 32));
  const view = new DataView(bytes.buffer);
  const expected = Array.from({ length: 32 }, (_, from) => crc32ByTables(bytes, view, from, from + length));
  let call = 0;
  return {
    name: `${length} bytes`,
    operation: () => {
      const from = call++ & 31;
      crc32(bytes, view, from, from + length);
    },
    round: () => {
      let difference = 0;
      const startedNs = threadNs();
      for (let index = 0; index < count; index++) {
        const from = index & 31;
        difference |= crc32(bytes, view, from, from + length) ^ (expected[from] as number);
      }
      const ns = threadNs() - startedNs;
      if (difference !== 0) throw new Error("The two ways to sum differ");
      return { operations: count, ns, remark: `${(length * count / ns).toFixed(1)} GB/s` };
    },
  };
}
