import { expect, test } from "bun:test";
import { POSTGRES_MISSING, PostgresServer } from "../support/postgres.ts";
import { withRandom } from "../support/seed.ts";
import { type ProcessingLoopOptions, runProcessingLoop } from "./processing-loop.ts";

const KILLS = 5;
const KILLS_POSTGRES = 2;

const drill = (kills: number, config: Pick<ProcessingLoopOptions, "config"> = {}) =>
  withRandom(async (random) => {
    const { findings, results, alerts, orders } = await runProcessingLoop({ kills, random, ...config });
    expect(findings).toEqual([]);
    expect(orders).toBeGreaterThan(kills);
    expect(results).toBeGreaterThan(0);
    expect(alerts).toBeGreaterThan(0);
  });

test(
  "SIGKILL while rules and windows work: rows, results on topics and alerts equal the brute-force oracle",
  () => drill(KILLS),
  180_000,
);

test.skipIf(POSTGRES_MISSING !== undefined)(
  `the same with results in PostgreSQL${POSTGRES_MISSING === undefined ? "" : `: ${POSTGRES_MISSING}`}`,
  async () => {
    const postgres = await PostgresServer.start();
    try {
      await drill(KILLS_POSTGRES, { config: { store: { backend: "postgres", url: postgres.url } } });
    } finally {
      await postgres.remove();
    }
  },
  180_000,
);
