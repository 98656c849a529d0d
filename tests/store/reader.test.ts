/** The questions, on both databases, against a plain search through the same events. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { compilePatterns } from "../../src/event/topic.ts";
import { openReader } from "../../src/store/open.ts";
import { SqliteStore } from "../../src/store/sqlite.ts";
import { PostgresStore } from "../../src/store/postgres.ts";
import type { Order } from "../../src/store/queries.ts";
import { StoreReader } from "../../src/store/reader.ts";
import type { Store } from "../../src/store/store.ts";
import { workerUrl } from "../../src/threads.ts";
import { POSTGRES_MISSING, PostgresServer } from "../support/postgres.ts";
import { withRandom } from "../support/seed.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { POSTGRES_TEST, postgresRunner, sqliteReader } from "./backends.ts";
import { type PlacedEvent, rowsOf, T0_US } from "./rows.ts";

const TOPICS = ["a", "a.b", "a.c", "a.b.c", "a/b", "z.b", "ä.b", "a b"];
const PATTERNS = ["a", "a.*", "a.>", "*.b", ">", "a/*", "a.*.c", "ä.*", "none", "a.b"];
const DAY_US = 86_400_000_000;

interface Place {
  readonly store: Store;
  readonly reader: StoreReader;
  remove(): Promise<void>;
}

const threadReader = (path: string) =>
  openReader({ kind: "sqlite", path }, { url: workerUrl("src/store/query-worker.ts"), deadlineMs: 10_000 });

const sqlitePlace = () => sqliteFile(async (path) => sqliteReader(path));
const threadPlace = () => sqliteFile(threadReader);

async function sqliteFile(readerOf: (path: string) => Promise<StoreReader>): Promise<Place> {
  const folder = new TemporaryFolder("reader");
  const path = folder.path("r.db");
  const store = await SqliteStore.open({ path, origin: "o", nowUs: () => T0_US, autoMigrate: true });
  return { store, reader: await readerOf(path), remove: async () => folder.remove() };
}

async function postgresPlace(): Promise<Place> {
  const server = await PostgresServer.start();
  const store = await PostgresStore.open({
    postgres: { ...POSTGRES_TEST, url: server.url },
    origin: "o",
    nowUs: () => T0_US,
    autoMigrate: true,
  });
  return { store, reader: new StoreReader(postgresRunner(server.url)), remove: () => server.remove() };
}

for (
  const [kind, create] of [
    ["sqlite", sqlitePlace],
    ["sqlite, on a thread of its own", threadPlace],
    ["postgres", postgresPlace],
  ] as const
) {
  const missing = kind === "postgres" ? POSTGRES_MISSING : undefined;
  describe.skipIf(missing !== undefined)(
    `reader on ${kind}${missing === undefined ? "" : ` (${missing})`}`,
    () => {
      let place: Place;
      beforeAll(async () => {
        place = await create();
      });
      afterAll(async () => {
        await place?.reader.close();
        await place?.store.close();
        await place?.remove();
      });

      test("events() finds what a plain search finds, page by page, whatever is asked", async () => {
        await withRandom(async (random) => {
          const [log] = await place.store.positions(`r${random.seed}`, [{
            lane: "l",
            shard: 0,
            startOffset: 0,
          }]);
          const logId = log?.logId ?? -1;
          const all = Array.from({ length: 300 }, (_, offset): PlacedEvent & { receivedUs: number } => ({
            logId,
            offset,
            topic: random.pick(["a", ...TOPICS]),
            payload: String(offset),
            // Equal times, and three days, so that partitions are crossed.
            receivedUs: T0_US + random.below(3) * DAY_US + random.below(20),
            ...(random.chance(0.5) ? { key: `k${random.below(3)}` } : {}),
          }));
          const moves = [{ logId, fromOffset: 0, nextOffset: 300 }];
          await place.store.commit({ consumer: `r${random.seed}`, moves, events: rowsOf(all) });
          for (let question = 0; question < 60; question++) {
            const topic = random.pick(["a", ...PATTERNS]);
            const key = random.chance(0.4) ? `k${random.below(3)}` : undefined;
            const fromUs = random.chance(0.4)
              ? T0_US + random.below(3) * DAY_US + random.below(20)
              : undefined;
            const toUs = random.chance(0.4) ? T0_US + random.below(3) * DAY_US + random.below(20) : undefined;
            const order = random.pick<Order>(["asc", "desc"]);
            const matcher = compilePatterns([topic]);
            const wanted = all.filter((event) => {
              const bytes = Buffer.from(event.topic);
              return matcher.matches(bytes, 0, bytes.length) && (key === undefined || event.key === key) &&
                event.receivedUs >= (fromUs ?? 0) && event.receivedUs < (toUs ?? Infinity);
            }).sort((a, b) => a.receivedUs - b.receivedUs || a.offset - b.offset).map(({ offset }) => offset);
            if (order === "desc") wanted.reverse();
            const found: number[] = [];
            let cursor: string | undefined;
            do {
              const page = await place.reader.events({
                topic,
                order,
                limit: 1 + random.below(50),
                ...(key === undefined ? {} : { key }),
                ...(fromUs === undefined ? {} : { fromUs }),
                ...(toUs === undefined ? {} : { toUs }),
                ...(cursor === undefined ? {} : { cursor }),
              });
              found.push(...page.rows.map((row) => row.log_offset));
              cursor = page.cursor;
            } while (cursor !== undefined);
            expect({ topic, key, order, found }).toEqual({ topic, key, order, found: wanted });
          }
        });
      });

      test("select() reads, with names and a limit, and never writes", async () => {
        const result = await place.reader.select(
          "SELECT topic, count(*) AS n FROM events GROUP BY topic ORDER BY 1",
          3,
        );
        expect(result.columns).toEqual(["topic", "n"]);
        expect([result.rows.length, result.isCut]).toEqual([3, true]);
        for (
          const sql of [
            "DELETE FROM events",
            "SELECT 1; DROP TABLE events",
            "COMMIT",
            "SELECT * FROM nowhere",
            "",
          ]
        ) {
          const outcome = await place.reader.select(sql, 10).then(() => "read", (error) => error.code);
          expect([sql, ["USAGE", "read"].includes(outcome)]).toEqual([sql, true]);
        }
        const after = await place.reader.select("SELECT count(*) FROM events", 1);
        expect(Number(after.rows[0]?.[0])).toBe(300);
      });
    },
  );
}
