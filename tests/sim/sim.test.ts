import { expect, test } from "bun:test";
import { PLANTED_BUGS } from "./bugs.ts";
import { runSeeds } from "./run.ts";

const SEEDS = 300;
const SEEDS_FOR_A_BUG = 1000;

test(`the log keeps its promises through ${SEEDS} simulated lives`, () => {
  // A failure names its seed: bun tests/sim/run.ts --seeds 1 --seed N --trace
  expect(runSeeds(1, SEEDS)?.message).toBeUndefined();
});

for (const [bug, parts] of Object.entries(PLANTED_BUGS)) {
  test(`the simulation finds a planted bug: ${bug}`, () => {
    const violation = runSeeds(1, SEEDS_FOR_A_BUG, parts);
    expect(violation?.message).toMatch(/^seed \d+, step \d+: /);
  });
}
