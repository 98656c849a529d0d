/**
 * Exactly once, shown by violence: esc and the database are killed at random moments while events come in.
 *
 * The oracle is what was sent: every number exactly once. `ESC_DRILL_KILLS=200` runs it at full size.
 */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { type ConfigTree, EscServer } from "../support/esc.ts";
import { POSTGRES_MISSING, PostgresServer } from "../support/postgres.ts";
import { type Random, withRandom } from "../support/seed.ts";
import { TemporaryFolder } from "../support/temp.ts";

const KILLS = Number(process.env["ESC_DRILL_KILLS"] ?? 4);
const BATCH = 200;
const TEST_MS_MAX = 30_000 + KILLS * 10_000;

/** Sends one batch again and again until all of it is acknowledged; ids keep repeats out. */
async function sendUntilDurable(server: () => EscServer, first: number): Promise<void> {
  const lines = Array.from({ length: BATCH }, (_, index) => {
    const number = first + index;
    const topic = number % 10 === 0 ? "noise" : `orders.${number % 3}`;
    return JSON.stringify({ topic, payload: String(number), id: `n${number}`, priority: 1 + number % 3 });
  });
  for (;;) {
    const answer = await fetch(server().url("/api/v1/publish?acks=durable"), {
      method: "POST",
      headers: { "content-type": "application/x-ndjson" },
      body: lines.join("\n"),
    }).catch(() => undefined);
    if (answer?.status === 200) return;
    await answer?.body?.cancel();
    await Bun.sleep(20);
  }
}

/** Everything that should be stored: what was sent, but the noise. */
function expected(count: number): number[] {
  return Array.from({ length: count }, (_, number) => number).filter((number) => number % 10 !== 0);
}

interface Drilled {
  readonly sent: number;
  readonly kills: number;
}

/** Sends while `harm` is done `KILLS` times; ends with an orderly stop, which stores the rest. */
async function drill(
  store: ConfigTree,
  random: Random,
  harm: (restart: () => Promise<void>) => Promise<void>,
) {
  const folder = new TemporaryFolder("drill");
  const config = { store: { ...store, topics: ["orders.>"], flush_interval: "5ms", batch_events: 150 } };
  let server = await EscServer.start({ config, folder });
  let sent = 0;
  let isOver = false;
  const sending = (async () => {
    while (!isOver) {
      await sendUntilDurable(() => server, sent);
      sent += BATCH;
    }
  })();
  for (let kill = 0; kill < KILLS; kill++) {
    await Bun.sleep(random.between(0, 150));
    await harm(async () => {
      await server.kill();
      server = await EscServer.start({ config, folder });
    });
  }
  isOver = true;
  await sending;
  expect(await server.stop()).toBe(0);
  return { folder, result: { sent, kills: KILLS } satisfies Drilled };
}

describe("exactly once", () => {
  test("SQLite: esc is killed at random", async () => {
    await withRandom(async (random) => {
      const { folder, result } = await drill({}, random, (restart) => restart());
      const database = new Database(folder.path("data", "store.db"), { readonly: true });
      const rows = database.query<{ payload: Uint8Array }, []>("SELECT payload FROM events").all();
      database.close();
      const numbers = rows.map(({ payload }) => Number(new TextDecoder().decode(payload))).sort((a, b) =>
        a - b
      );
      expect(numbers).toEqual(expected(result.sent));
      folder.remove();
    });
  }, TEST_MS_MAX);

  test.skipIf(POSTGRES_MISSING !== undefined)(
    `PostgreSQL: esc or the database is killed at random${POSTGRES_MISSING ? ` (${POSTGRES_MISSING})` : ""}`,
    async () => {
      await withRandom(async (random) => {
        const postgres = await PostgresServer.start();
        const store = { backend: "postgres", url: postgres.url, query_timeout: "2s" };
        const { folder, result } = await drill(store, random, async (restart) => {
          if (random.chance(0.5)) await restart();
          else {
            await postgres.kill();
            await postgres.up();
          }
        });
        // The stop may have come while the sink waited to try again: the next start catches up.
        const server = await EscServer.start({
          config: { store: { ...store, topics: ["orders.>"] } },
          folder,
        });
        const wanted = expected(result.sent);
        const deadlineMs = Date.now() + 20_000;
        while (
          Number(postgres.sql("SELECT count(*) FROM events")) < wanted.length && Date.now() < deadlineMs
        ) {
          await Bun.sleep(50);
        }
        await server.stop();
        const texts = postgres.sql("SELECT convert_from(payload, 'UTF8') FROM events").split("\n");
        expect(texts.map(Number).sort((a, b) => a - b)).toEqual(wanted);
        folder.remove();
        await postgres.remove();
      });
    },
    TEST_MS_MAX,
  );
});
