/** Rules and windows when their store goes away and comes back. */
import { expect, test } from "bun:test";
import { EscServer } from "../support/esc.ts";
import { POSTGRES_MISSING, PostgresServer } from "../support/postgres.ts";
import { queryEvents } from "./read-log.ts";

const PATIENCE_MS = 60_000;
const WINDOW_COUNT = 10;

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!await condition()) {
    if (performance.now() > deadlineMs) throw new Error(`never: ${what}`);
    await Bun.sleep(50);
  }
}

test.skipIf(POSTGRES_MISSING !== undefined)(
  `a store that goes and comes back: events are taken all the time, and nothing is processed twice or never${
    POSTGRES_MISSING === undefined ? "" : `: ${POSTGRES_MISSING}`
  }`,
  async () => {
    const postgres = await PostgresServer.start();
    const config = {
      store: { backend: "postgres", url: postgres.url },
      processing: { start: "earliest" },
      rules: {
        seen: { topics: "in", alert: { message: "{payload}", cooldown: "0s" }, publish: { topic: "out" } },
      },
      windows: { tens: { topics: "in", count: WINDOW_COUNT, aggregates: { sum: "sum(payload)" } } },
    };
    // Not there at the start, either.
    await postgres.stop();
    let server = await EscServer.start({ config });
    try {
      let sent = 0;
      const send = async (count: number) => {
        for (let index = 0; index < count; index++) {
          const url = server.url("/api/v1/publish/in?acks=durable");
          const response = await fetch(url, { method: "POST", body: String(sent++) });
          expect([response.status, await response.text()]).toEqual([200, expect.anything()]);
        }
      };
      const rows = async (path: string, field: string): Promise<{ message: string; sum: number }[]> => {
        const response = await fetch(server.url(path));
        return response.status === 200 ? (await response.json())[field] : [];
      };
      const isStored = async () =>
        (await rows("/api/v1/query/alerts?limit=1000", "alerts")).length >= sent &&
        (await rows("/api/v1/windows/tens", "windows")).length >= Math.floor(sent / WINDOW_COUNT);
      await server.logged(/Rules and windows wait for the store/);
      await send(15);
      await postgres.up();
      await until("what came before the store", isStored);
      await postgres.stop();
      await send(15);
      await server.logged(/worker died, restarting it/);
      await postgres.up();
      await until("what came during the outage", isStored);
      await postgres.stop();
      await send(10);
      // Without a store it stops well, too, and the next one goes on.
      expect(await server.stop()).toBe(0);
      server = await EscServer.start({ folder: server.folder, config });
      await postgres.up();
      await until("what came before the restart", isStored);

      const numbers = Array.from({ length: sent }, (_, number) => String(number)).sort();
      const alerts = await rows("/api/v1/query/alerts?limit=1000", "alerts");
      expect(alerts.map(({ message }) => message).sort()).toEqual(numbers);
      await until(
        "the last result of the rule",
        async () => (await queryEvents(server, "out")).length >= sent,
      );
      expect((await queryEvents(server, "out")).map(({ payload }) => payload).sort()).toEqual(numbers);
      const windows = await rows("/api/v1/windows/tens", "windows");
      expect(windows.map(({ sum }) => sum)).toEqual([45, 145, 245, 345]);
    } finally {
      await server.remove();
      await postgres.remove();
    }
  },
  180_000,
);
