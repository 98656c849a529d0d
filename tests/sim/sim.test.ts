import { expect, test } from "bun:test";
import { PLANTED_BUGS } from "./bugs.ts";
import { REAL_PARTS, runSeeds } from "./run.ts";

const SEEDS = 300;
const SEEDS_REAL = 150;
const SEEDS_FOR_A_BUG = 1000;
const TIMEOUT_MS = 60_000;

// A failure names its seed: bun tests/sim/run.ts --seeds 1 --seed N --trace [--real]

test(`the log keeps its promises through ${SEEDS} simulated lives`, () => {
  expect(runSeeds(1, SEEDS)?.message).toBeUndefined();
}, TIMEOUT_MS);

// 5269: a failed log dies before it has cut its old end off, and the first offset behind the cut is lost.
test.each([5269])("seed %i, which once found something", (seed) => {
  expect(runSeeds(seed, 1)?.message).toBeUndefined();
});

// 5100: cut bytes that came back with the power. 8117: offsets given away again after a failed sync.
test.each([5100, 8117])("seed %i of the real lane, which once found something", (seed) => {
  expect(runSeeds(seed, 1, REAL_PARTS)?.message).toBeUndefined();
});

test(`so does the real lane over it through ${SEEDS_REAL}, its thread ending anywhere`, () => {
  expect(runSeeds(1, SEEDS_REAL, REAL_PARTS)?.message).toBeUndefined();
}, TIMEOUT_MS);

for (const [bug, parts] of Object.entries(PLANTED_BUGS)) {
  test(`the simulation finds a planted bug: ${bug}`, () => {
    const violation = runSeeds(1, SEEDS_FOR_A_BUG, parts);
    expect(violation?.message).toMatch(/^seed \d+, step \d+: /);
  }, TIMEOUT_MS);
}
