/** Consumer groups over a server that is killed: at least once, and the order of each key. */
import { afterAll, expect, test } from "bun:test";
import { EscServer } from "../support/esc.ts";
import { type GroupEvent, GroupWorker } from "./group-worker.ts";

const WORKERS = 3;
const KEYS = 20;
const EVENTS = 3_000;
/** ESC_DRILL asks for more. */
const KILLS = process.env["ESC_DRILL"] === undefined ? 2 : 20;

let server: EscServer | undefined;
afterAll(() => server?.remove());

interface Delivery {
  readonly run: number;
  readonly worker: number;
  readonly key: string;
  readonly number: number;
}

test(
  `a killed server loses no event of a group and keeps the order of each key (${KILLS} kills)`,
  async () => {
    server = await EscServer.start();
    await publishAll(server);
    const deliveries: Delivery[] = [];
    const acknowledged = new Set<number>();
    for (let run = 0; run <= KILLS; run++) {
      if (run > 0) server = await EscServer.start({ folder: server.folder });
      const enough = run === KILLS ? EVENTS : Math.ceil((EVENTS * (run + 1)) / (KILLS + 1));
      await work(server, run, { deliveries, acknowledged, enough });
      // Acknowledgements of the last 100 ms are not on the disk: their events come again, none is left out.
      await server.kill();
    }
    expect(acknowledged.size).toBe(EVENTS);
    for (let run = 0; run <= KILLS; run++) {
      const seen = new Map<string, number>();
      for (const { run: of, key, number } of deliveries) {
        if (of !== run) continue;
        expect(number, `run ${run}, key ${key}`).toBeGreaterThan(seen.get(key) ?? -1);
        seen.set(key, number);
      }
    }
    // Between two runs nothing of a key is skipped: what comes first was not acknowledged, or follows what was.
    for (let key = 0; key < KEYS; key++) {
      const numbers = deliveries.filter((delivery) => delivery.key === `k${key}`).map(({ number }) => number);
      let newest = key - KEYS;
      for (const number of numbers) {
        expect(number, `key k${key}`).toBeLessThanOrEqual(newest + KEYS);
        newest = Math.max(newest, number);
      }
      expect(newest).toBe(EVENTS - KEYS + key);
    }
    // Every worker had its part.
    expect(new Set(deliveries.map(({ worker }) => worker)).size).toBe(WORKERS);
  },
  120_000 + KILLS * 5_000,
);

test(
  "how often an event has failed survives a kill, and its last failure makes it a dead letter",
  async () => {
    let killed = await EscServer.start();
    try {
      const publish = await fetch(killed.url("/api/v1/publish/poison"), { method: "POST", body: "it" });
      expect(publish.status).toBe(200);
      const join = { group: "sick", topics: ["poison"], from: "earliest", member: "w", max_deliveries: 3 };
      const attempts: number[] = [];
      for (let life = 1; life <= 2; life++) {
        const worker = await GroupWorker.join(killed.addresses.http, join, (member, event) => {
          attempts.push(event.attempts);
          // In its first life the event fails twice and is held when the server dies: that is no failure.
          if (event.attempts < 3 || life === 2) member.nack(event);
        });
        await worker.until(() => worker.events.at(-1)?.attempts === 3);
        if (life === 2) break;
        const path = killed.folder.path("data", "consumers", "sick.json");
        const stored = () => Bun.file(path).text().catch(() => "");
        while (!(await stored()).includes('"failures":{"batch/0@0":2}')) await Bun.sleep(10);
        await killed.kill();
        killed = await EscServer.start({ folder: killed.folder });
      }
      expect(attempts).toEqual([1, 2, 3, 3]);
      let letters: unknown[] = [];
      while (letters.length === 0) {
        letters = (await (await fetch(killed.url("/api/v1/dlq?reason=max_deliveries"))).json()).events;
      }
      expect(letters).toMatchObject([{ topic: "poison", payload: "it", group: "sick", attempts: 3 }]);
    } finally {
      await killed.remove();
    }
  },
  30_000,
);

/** Event n has key n mod KEYS. */
async function publishAll(server: EscServer): Promise<void> {
  const list = Array.from({ length: EVENTS }, (_, number) => ({
    topic: "jobs.all",
    key: `k${number % KEYS}`,
    payload: String(number),
  }));
  const response = await fetch(server.url("/api/v1/publish"), {
    method: "POST",
    body: JSON.stringify(list),
    headers: { "content-type": "application/json" },
  });
  expect(response.status).toBe(200);
}

interface Tally {
  readonly deliveries: Delivery[];
  readonly acknowledged: Set<number>;
  /** Events after which the work is broken off. */
  readonly enough: number;
}

/** Three workers, until enough events are acknowledged. */
async function work(server: EscServer, run: number, tally: Tally): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const take = (index: number) => (worker: GroupWorker, event: GroupEvent) => {
    const number = Number(event.payload);
    tally.deliveries.push({ run, worker: index, key: event.key ?? "", number });
    tally.acknowledged.add(number);
    worker.ack(event);
    if (tally.acknowledged.size >= tally.enough) resolve();
  };
  const request = { group: "jobs", topics: ["jobs.>"], from: "earliest", mode: "ordered", max_in_flight: 8 };
  const workers = await Promise.all(
    Array.from(
      { length: WORKERS },
      (_, index) => GroupWorker.join(server.addresses.http, { ...request, member: `w${index}` }, take(index)),
    ),
  );
  expect(workers.flatMap(({ refusals }) => refusals)).toEqual([]);
  await promise;
}
