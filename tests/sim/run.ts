/**
 * Runs many seeds: `bun tests/sim/run.ts --seeds 10000 --seed 1`. Stops at the first violation with exit
 * status 1; `--seeds 1 --seed N --trace` shows how it comes about; `--real` takes
 * the real lane in place of its model. Used by CI at a small size and by `bun run drill` at full size.
 */

import { parseArgs } from "node:util";
import { RealLane } from "./real-lane.ts";
import { SIM_PARTS, type SimParts, SimViolation, SimWorld } from "./world.ts";

/** The real lane in place of its model. */
export const REAL_PARTS: SimParts = {
  ...SIM_PARTS,
  lane: (files, options, events) => new RealLane(files, options, events),
};

/** Runs seeds `first` to `first + count - 1`. @returns The first violation, `undefined` if there is none. */
export function runSeeds(
  first: number,
  count: number,
  parts: SimParts = SIM_PARTS,
): SimViolation | undefined {
  for (let seed = first; seed < first + count; seed++) {
    try {
      new SimWorld(seed, parts).run();
    } catch (error) {
      if (error instanceof SimViolation) return error;
      throw new Error(`seed ${seed}: ${String(error)}`, { cause: error });
    }
  }
  return undefined;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "1000" },
      seed: { type: "string", default: "1" },
      trace: { type: "boolean", default: false },
      real: { type: "boolean", default: false },
    },
  });
  const first = Number(values.seed);
  const count = Number(values.seeds);
  console.log(`simulation: seeds ${first} to ${first + count - 1}`);
  const started = Bun.nanoseconds();
  const trace = values.trace ? (line: string) => console.log(line) : SIM_PARTS.trace;
  const violation = runSeeds(first, count, { ...(values.real ? REAL_PARTS : SIM_PARTS), trace });
  const seconds = (Bun.nanoseconds() - started) / 1e9;
  if (violation !== undefined) {
    console.log(`FAILED: ${violation.message}`);
    process.exit(1);
  }
  console.log(`${count} seeds clean in ${seconds.toFixed(1)} s (${Math.round(count / seconds)} seeds/s)`);
}
