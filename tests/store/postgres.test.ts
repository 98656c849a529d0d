/** What a network and servers do to PostgreSQL's clients: cut, stalled, killed, lagging. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { EscError } from "../../src/errors.ts";
import { PostgresPool } from "../../src/store/postgres-pool.ts";
import type { PostgresRunner } from "../../src/store/postgres-runner.ts";
import { PostgresStore } from "../../src/store/postgres.ts";
import { StoreReader } from "../../src/store/reader.ts";
import { POSTGRES_MISSING, PostgresServer } from "../support/postgres.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { Proxy } from "../support/proxy.ts";
import { withRandom } from "../support/seed.ts";
import { POSTGRES_TEST, postgresRunner } from "./backends.ts";
import { rowsOf, T0_US } from "./rows.ts";

const title = `PostgreSQL${POSTGRES_MISSING === undefined ? "" : ` (${POSTGRES_MISSING})`}`;

describe.skipIf(POSTGRES_MISSING !== undefined)(title, () => {
  let primary: PostgresServer;
  let replicas: PostgresServer[];
  let store: PostgresStore;
  let logId: number;
  let next = 0;

  beforeAll(async () => {
    primary = await PostgresServer.start();
    store = await PostgresStore.open({
      postgres: { ...POSTGRES_TEST, url: primary.url },
      origin: "o",
      nowUs: () => T0_US,
      autoMigrate: true,
    });
    logId = (await store.positions("c", [{ lane: "l", shard: 0, startOffset: 0 }]))[0]?.logId ?? -1;
    await write();
    replicas = [await primary.replica(), await primary.replica()];
  });
  afterAll(async () => {
    await store?.close();
    for (const server of [...replicas ?? [], primary]) await server?.remove();
  });

  async function write(): Promise<void> {
    const move = { logId, fromOffset: next, nextOffset: next + 1 };
    const events = rowsOf([{ logId, offset: next, topic: "t", payload: String(next) }]);
    expect(await store.commit({ consumer: "c", moves: [move], events })).toBe("committed");
    next++;
  }

  const readOne = (reader: StoreReader) => reader.events({ topic: "t", order: "desc", limit: 1 });

  /** Waits for something that the servers do by themselves. */
  async function until(condition: () => boolean): Promise<void> {
    const deadlineMs = Date.now() + 10_000;
    while (!condition()) {
      if (Date.now() > deadlineMs) throw new Error("it did not come about");
      await Bun.sleep(10);
    }
  }

  const usable = (runner: PostgresRunner) => runner.replicas.map((replica) => replica.isUsable);

  test("reads take turns over the replicas", async () => {
    const runner = postgresRunner(primary.url, replicas.map((replica) => replica.url));
    await until(() => usable(runner).every((isUsable) => isUsable));
    const before = replicas.map((replica) => readsOf(replica));
    const reader = new StoreReader(runner);
    for (let read = 0; read < 20; read++) await readOne(reader);
    // Statistics are written out when a session ends.
    await reader.close();
    await until(() => replicas.every((replica, index) => readsOf(replica) >= (before[index] ?? 0) + 5));
  });

  test("a replica that stands still is left out, and comes back", async () => {
    const runner = postgresRunner(primary.url, replicas.map((replica) => replica.url));
    const [held, other] = replicas;
    await until(() => usable(runner).every((isUsable) => isUsable));
    held?.sql("SELECT pg_wal_replay_pause()");
    await write();
    await until(() => usable(runner)[0] === false && usable(runner)[1] === true);
    expect(runner.replicas[0]?.lagMs).toBeGreaterThan(100);
    const reader = new StoreReader(runner);
    for (let read = 0; read < 6; read++) {
      const { rows } = await readOne(reader);
      expect(Buffer.from(rows[0]?.payload ?? []).toString()).toBe(String(next - 1));
    }
    held?.sql("SELECT pg_wal_replay_resume()");
    await until(() => usable(runner)[0] === true);
    expect(other).toBeDefined();
    await reader.close();
  });

  test("a replica killed under load fails no read; it is asked again when it is back", async () => {
    const runner = postgresRunner(primary.url, replicas.map((replica) => replica.url));
    await until(() => usable(runner).every((isUsable) => isUsable));
    const reader = new StoreReader(runner);
    let isOver = false;
    let failed = 0;
    let done = 0;
    const readers = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        await readOne(reader).then(() => done++, () => failed++);
      }
    });
    await until(() => done > 20);
    await replicas[0]?.kill();
    await until(() => usable(runner)[0] === false);
    const after = done;
    await until(() => done > after + 20);
    await replicas[0]?.up();
    await until(() => usable(runner)[0] === true);
    isOver = true;
    await Promise.all(readers);
    expect(failed).toBe(0);
    await reader.close();
  }, 20_000);

  test("a query that takes too long is ended by the server, and the connection goes on", async () => {
    const pool = new PostgresPool({ ...POSTGRES_TEST, url: primary.url, slots: 1, deadlineMs: 600 });
    expect(await codeOf(pool.run((sql) => sql`SELECT pg_sleep(10)`))).toBe("TIMEOUT");
    expect(pool.retired).toBe(0);
    expect(Array.from(await pool.run((sql) => sql`SELECT 1 AS x`))).toEqual([{ x: 1 }]);
    await pool.close();
  });

  test("a stalled network: every query settles by its deadline, and the next one works once it is mended", async () => {
    const proxy = Proxy.start({ hostname: "127.0.0.1", port: primary.port });
    const url = primary.urlAt(proxy.port);
    const pool = new PostgresPool({ ...POSTGRES_TEST, url, slots: 3, deadlineMs: 600 });
    await pool.run((sql) => sql`SELECT 1`);
    proxy.stall();
    const codes = await Promise.all(
      Array.from({ length: 8 }, () => codeOf(pool.run((sql) => sql`SELECT 1`))),
    );
    // Whoever shares the connections with the first to miss its deadline fails with it.
    expect(codes.every((code) => code === "TIMEOUT" || code === "STORE_UNAVAILABLE")).toBe(true);
    expect(pool.retired).toBeGreaterThan(0);
    proxy.mend();
    expect(Array.from(await pool.run((sql) => sql`SELECT 2 AS x`))).toEqual([{ x: 2 }]);
    expect([pool.inUse, pool.waiting]).toEqual([0, 0]);
    await pool.close();
    proxy.stop();
  });

  test(
    "connections reset at any moment, while they are made too: every query settles, and nothing is thrown past it",
    () =>
      withRandom(async (random) => {
        const proxy = Proxy.start({ hostname: "127.0.0.1", port: primary.port });
        const pool = new PostgresPool({
          ...POSTGRES_TEST,
          url: primary.urlAt(proxy.port),
          slots: 4,
          deadlineMs: 600,
        });
        const counts = { done: 0, failed: 0 };
        let isOver = false;
        const worker = async (query: () => Promise<unknown>) => {
          while (!isOver) await query().then(() => counts.done++, () => counts.failed++);
        };
        const select = () => pool.run((sql) => sql`SELECT 1`);
        const transact = () => pool.transaction((sql) => sql`SELECT 1`);
        const workers = [select, select, transact, transact].map(worker);
        for (let round = 0; round < 150; round++) {
          await Bun.sleep(random.below(16));
          proxy.reset();
        }
        isOver = true;
        await Promise.all(workers);
        expect(counts.failed).toBeGreaterThan(0);
        expect(Array.from(await pool.run((sql) => sql`SELECT 2 AS x`).catch(() => select()))).toHaveLength(1);
        await pool.close();
        proxy.stop();
      }),
    30_000,
  );

  test("a commit through a network that fails in its midst is neither lost nor doubled", async () => {
    const proxy = Proxy.start({ hostname: "127.0.0.1", port: primary.port });
    const fragile = await PostgresStore.open({
      postgres: { ...POSTGRES_TEST, url: primary.urlAt(proxy.port), deadlineMs: 800 },
      origin: "fragile",
      nowUs: () => T0_US,
      autoMigrate: true,
    });
    const place = [{ lane: "l", shard: 0, startOffset: 0 }];
    let [position] = await fragile.positions("c", place);
    const id = position?.logId ?? -1;
    for (let round = 0; (position?.nextOffset ?? 0) < 30; round++) {
      const from = position?.nextOffset ?? 0;
      const harm = round % 4;
      const timer = setTimeout(() => {
        if (harm === 1) proxy.cut();
        if (harm === 3) proxy.stall();
      }, round % 7);
      const events = rowsOf([{ logId: id, offset: from, topic: "fragile", payload: String(from) }]);
      await fragile.commit({
        consumer: "c",
        moves: [{ logId: id, fromOffset: from, nextOffset: from + 1 }],
        events,
      })
        .catch(() => undefined);
      clearTimeout(timer);
      proxy.mend();
      [position] = await fragile.positions("c", place).catch(() => fragile.positions("c", place));
    }
    expect(
      primary.sql(
        "SELECT string_agg(convert_from(payload, 'UTF8'), ',' ORDER BY log_offset) FROM events WHERE topic = 'fragile'",
      ),
    )
      .toBe(Array.from({ length: position?.nextOffset ?? 0 }, (_, index) => index).join(","));
    await fragile.close();
    proxy.stop();
  }, 40_000);

  test(
    "a primary that is restarted: queries fail by name while it is away, and work when it is back",
    async () => {
      const pool = new PostgresPool({ ...POSTGRES_TEST, url: primary.url, slots: 2, deadlineMs: 3000 });
      await pool.run((sql) => sql`SELECT 1`);
      await primary.kill();
      expect(await codeOf(pool.run((sql) => sql`SELECT 1`))).toBe("STORE_UNAVAILABLE");
      await primary.up();
      await untilTrue(async () => await codeOf(pool.run((sql) => sql`SELECT 1`)) === "done");
      await pool.close();
    },
    20_000,
  );

  test("more callers than connections wait their turn; more than that are refused", async () => {
    const pool = new PostgresPool({ ...POSTGRES_TEST, url: primary.url, slots: 2 });
    const calls = Array.from({ length: 1003 }, () => codeOf(pool.run((sql) => sql`SELECT 1`)));
    expect([pool.inUse, pool.waiting]).toEqual([2, 1000]);
    const codes = await Promise.all(calls);
    expect(codes.filter((code) => code === "done")).toHaveLength(1002);
    expect(codes.at(-1)).toBe("STORE_UNAVAILABLE");
    expect([pool.inUse, pool.waiting]).toEqual([0, 0]);
    await pool.close();
  });
});

const hasOpenssl = Bun.which("openssl") !== null;

describe.skipIf(POSTGRES_MISSING !== undefined || !hasOpenssl)(
  `PostgreSQL over TLS${hasOpenssl ? "" : " (openssl is not installed)"}`,
  () => {
    test("a server is checked against the certificates given, and refused when it does not match", async () => {
      const [own, other] = [selfSigned(), selfSigned()];
      const server = await PostgresServer.start({ tls: own, settings: ["ssl_min_protocol_version=TLSv1.2"] });
      const options = { ...POSTGRES_TEST, url: server.urlAt(server.port), slots: 1, deadlineMs: 3000 };
      const isTls = (pool: PostgresPool) =>
        pool.run((sql) => sql`SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`).then(([row]) =>
          row?.["ssl"]
        );
      const trusting = new PostgresPool({ ...options, tlsCa: own.certificate });
      expect(await isTls(trusting)).toBe(true);
      const distrusting = new PostgresPool({ ...options, tlsCa: other.certificate });
      expect(await codeOf(isTls(distrusting))).toBe("STORE_UNAVAILABLE");
      const asking = new PostgresPool({ ...options, url: `${options.url}?sslmode=require` });
      expect(await isTls(asking)).toBe(true);
      for (const pool of [trusting, distrusting, asking]) await pool.close();
      await server.remove();
    });
  },
);

function selfSigned(): { certificate: string; key: string } {
  const folder = new TemporaryFolder("tls");
  const [key, certificate] = [folder.path("key"), folder.path("crt")];
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
  const files = ["-keyout", key, "-out", certificate, "-days", "2"];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const { exitCode, stderr } = Bun.spawnSync(["openssl", "req", "-x509", ...kind, ...files, ...subject]);
  if (exitCode !== 0) throw new Error(`openssl failed: ${stderr}`);
  const made = { certificate: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") };
  folder.remove();
  return made;
}

async function untilTrue(condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  while (!await condition()) {
    if (Date.now() > deadlineMs) throw new Error("it did not come about");
    await Bun.sleep(20);
  }
}

function readsOf(server: PostgresServer): number {
  return Number(
    server.sql("SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_all_indexes WHERE relname LIKE 'events%'"),
  );
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    return error instanceof EscError ? error.code : String(error);
  }
}
