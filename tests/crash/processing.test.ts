import { expect, test } from "bun:test";
import { withRandom } from "../support/seed.ts";
import { runProcessingLoop } from "./processing-loop.ts";

const KILLS = 5;

test(
  "SIGKILL while rules and windows work: rows, results on topics and alerts equal the brute-force oracle",
  () =>
    withRandom(async (random) => {
      const { findings, results, alerts, orders } = await runProcessingLoop({ kills: KILLS, random });
      expect(findings).toEqual([]);
      expect(orders).toBeGreaterThan(KILLS);
      expect(results).toBeGreaterThan(0);
      expect(alerts).toBeGreaterThan(0);
    }),
  180_000,
);
