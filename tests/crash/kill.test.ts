import { expect, test } from "bun:test";
import { withRandom } from "../support/seed.ts";
import { emptyFindings } from "./judge.ts";
import { runKillLoop } from "./kill-loop.ts";

const CYCLES = 12;

test(
  "SIGKILL at random moments: nothing acknowledged is lost, doubled or out of order",
  () =>
    withRandom(async (random) => {
      const result = await runKillLoop({ cycles: CYCLES, random });
      expect(result.findings).toEqual(emptyFindings());
      // Everything came through in the end, what was sent again included.
      expect(result.events).toBe(result.acknowledged);
      expect(result.events).toBeGreaterThan(CYCLES);
    }),
  120_000,
);
