/**
 * Kills a server again and again while rules and windows are at work, and compares all that came of it with a
 * brute-force computation: rows in the store, results on topics, alerts.
 *
 * `bun tests/crash/processing-loop.ts --kills 200 --seed 1 --store sqlite`: the whole program, as `npm run drill`
 * runs it; `--store postgres` starts a PostgreSQL server of its own.
 */
import { parseArgs } from "node:util";
import { Client } from "../../src/client/client.ts";
import { dialTcp } from "../../src/client/tcp.ts";
import { queryEvents } from "../e2e/read-log.ts";
import { type ConfigTree, EscServer } from "../support/esc.ts";
import { PostgresServer } from "../support/postgres.ts";
import { Random } from "../support/seed.ts";
import { INPUT_TOPIC, OrderFeed, PROCESSING_CONFIG, type Rows } from "./processing-feed.ts";

/** How long a server lives, once it is ready. */
const LIFE_MS_MAX = 150;
const BURST_COUNT = 16;
const BURST_MS = 2;
/** Few enough that shards are never far apart: nothing is late by event time. */
const IN_FLIGHT_MAX = 64;
const GIVE_UP_MS = 60_000;
const CATCH_UP_MS = 60_000;
const PAGE_ROWS = 10_000;
/** Nobody listens there: what a dead server's address amounts to. */
const PORT_OF_NOBODY = 1;

export interface ProcessingLoopResult {
  readonly kills: number;
  readonly orders: number;
  readonly results: number;
  readonly alerts: number;
  /** Events that a restarted processor sent again, and that were stored once. */
  readonly repeats: number;
  /** What is not as it should be; empty: all is exact. */
  readonly findings: readonly string[];
}

export interface ProcessingLoopOptions {
  readonly kills: number;
  readonly random: Random;
  /** Sections over the drill's own, such as another store. */
  readonly config?: ConfigTree;
  readonly onKill?: (kill: number, orders: number) => void;
}

export async function runProcessingLoop(options: ProcessingLoopOptions): Promise<ProcessingLoopResult> {
  const { kills, random, onKill } = options;
  const config = { ...PROCESSING_CONFIG, ...options.config };
  const feed = new OrderFeed(random);
  let server = await EscServer.start({ config });
  const { folder } = server;
  let port: number | undefined = server.tcpPort;
  let isStopping = false;
  const client = await Client.connect({
    dial: (events) => dialTcp({ host: "127.0.0.1", port: port ?? PORT_OF_NOBODY })(events),
    acks: "durable",
    inFlightMax: IN_FLIGHT_MAX,
    reconnect: { delayMs: 5, delayMsMax: 20, giveUpMs: GIVE_UP_MS },
  });
  const { publisher } = client;
  const publish = async () => {
    while (!isStopping) {
      for (let count = 0; count < BURST_COUNT; count++) {
        await publisher.room();
        publisher.publish(feed.next());
      }
      await Bun.sleep(BURST_MS);
    }
  };
  const publishing = publish();
  publishing.catch(() => {});
  try {
    for (let kill = 1; kill <= kills; kill++) {
      await Bun.sleep(random.below(LIFE_MS_MAX));
      await server.kill();
      port = undefined;
      server = await EscServer.start({ folder, config });
      port = server.tcpPort;
      onKill?.(kill, feed.orders.length);
    }
    isStopping = true;
    await publishing;
    await publisher.settled();
    for (const event of feed.closing()) {
      await publisher.room();
      publisher.publish(event);
    }
    await publisher.settled();
    const judged = await judge(server, feed);
    if ((await server.stop()) !== 0) throw new Error(`the server did not end well:\n${server.log}`);
    return { kills, orders: feed.orders.length, ...judged };
  } finally {
    isStopping = true;
    client.abort();
    await server.remove();
  }
}

async function judge(
  server: EscServer,
  feed: OrderFeed,
): Promise<Pick<ProcessingLoopResult, "results" | "alerts" | "repeats" | "findings">> {
  const findings: string[] = [];
  const { tumbling, hopping, sessions, bursts, large } = feed;
  const isTold = (event: { payload: string }) =>
    Date.parse(JSON.parse(event.payload).end) * 1000 < feed.endUs;
  // The last window of the closing batch is told last: when it is on its topic, everything is.
  await until(async () => {
    const rows = await windowRows(server, "tumbling", feed.endUs);
    const told = (await queryEvents(server, "window.tumbling")).filter(isTold);
    return rows.size >= tumbling.size && told.length >= tumbling.size;
  });
  const wanted: readonly (readonly [string, Rows])[] = [
    ["tumbling", tumbling],
    ["hopping", hopping],
    ["session", sessions],
  ];
  let results = 0;
  for (const [name, expected] of wanted) {
    const rows = await windowRows(server, name, feed.endUs);
    compare(findings, `window ${name} in the store`, rows, expected);
    results += expected.size;
  }
  // Told once at the end: one event each, whatever was killed.
  const told = (await queryEvents(server, "window.tumbling")).filter(isTold);
  const published = new Map<string, string>();
  for (const { payload } of told) {
    const { key, start, end, count, sum, min, max, orders } = JSON.parse(payload);
    const name = `${key} ${Date.parse(start) * 1000} ${Date.parse(end) * 1000}`;
    if (published.has(name)) findings.push(`window.tumbling: ${name} is published twice`);
    published.set(name, JSON.stringify([count, sum, min, max, orders]));
  }
  compare(findings, "window tumbling on its topic", published, tumbling);
  await requireUniqueIds(server, findings);
  const largeEvents = (await queryEvents(server, "large")).map(({ payload }) => payload).sort();
  requireSame(findings, "events of rule large", largeEvents, large);
  const alerts = await storedAlerts(server);
  const largeAlerts = alerts.filter(({ rule }) => rule === "large").map(({ message }) => message).sort();
  requireSame(findings, "alerts of rule large", largeAlerts, large);
  const fired = new Map<string, number>();
  for (const { rule, message } of alerts) {
    if (rule === "burst" && !message.startsWith("end-")) fired.set(message, (fired.get(message) ?? 0) + 1);
  }
  requireSame(
    findings,
    "alerts of rule burst",
    [...fired].map(String).sort(),
    [...bursts].map(String).sort(),
  );
  const input = await queryEvents(server, INPUT_TOPIC);
  const inputCount = input.filter(({ id }) => id?.startsWith("o-")).length;
  if (inputCount !== feed.orders.length) {
    findings.push(`${inputCount} of ${feed.orders.length} orders stored`);
  }
  const stats = await (await fetch(server.url("/api/v1/stats"))).json();
  return {
    results,
    alerts: alerts.length,
    repeats: stats.events.duplicates,
    findings: findings.slice(0, 20),
  };
}

/** Rows of a window whose end lies before `endUs`, as the API shows them. */
async function windowRows(server: EscServer, name: string, endUs: number): Promise<Rows> {
  const rows: Rows = new Map();
  for await (const row of pages(server, `/api/v1/windows/${name}`, "windows")) {
    if (row.end_us > endUs) continue;
    const { count, sum, min, max, result } = row;
    const shown = name === "tumbling" ? [count, sum, min, max, result.orders] : [count, sum];
    rows.set(`${row.key} ${row.start_us} ${row.end_us}`, JSON.stringify(shown));
  }
  return rows;
}

async function storedAlerts(server: EscServer): Promise<{ rule: string; message: string }[]> {
  const alerts: { rule: string; message: string }[] = [];
  for await (const alert of pages(server, "/api/v1/query/alerts", "alerts")) {
    alerts.push({ rule: alert.rule, message: alert.message });
  }
  return alerts;
}

/** What rows of the store's answers have that this program looks at. */
interface Row {
  readonly key: string;
  readonly start_us: number;
  readonly end_us: number;
  readonly count: number;
  readonly sum: number | null;
  readonly min: number | null;
  readonly max: number | null;
  readonly result: { readonly orders?: number };
  readonly rule: string;
  readonly message: string;
}

async function* pages(server: EscServer, path: string, field: string): AsyncGenerator<Row> {
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({
      limit: String(PAGE_ROWS),
      ...(cursor === undefined ? {} : { cursor }),
    });
    const response = await fetch(server.url(`${path}?${query}`));
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    const page: Readonly<Record<string, Row[]>> & { readonly cursor?: string } = await response.json();
    yield* page[field] ?? [];
    cursor = page.cursor;
  } while (cursor !== undefined);
}

/** No output is in the log twice: their message ids say what they are. */
async function requireUniqueIds(server: EscServer, findings: string[]): Promise<void> {
  for (const topic of ["window.>", "large"]) {
    const seen = new Set<string>();
    for (const { id = "", topic: own } of await queryEvents(server, topic)) {
      if (seen.has(id)) findings.push(`${own}: the result ${id} is stored twice`);
      seen.add(id);
    }
  }
}

function compare(findings: string[], what: string, rows: Rows, expected: Rows): void {
  for (const [name, text] of expected) {
    const shown = rows.get(name);
    if (shown !== text) findings.push(`${what}: ${name} is ${shown ?? "missing"}, not ${text}`);
  }
  for (const name of rows.keys()) if (!expected.has(name)) findings.push(`${what}: ${name} is too much`);
}

function requireSame(
  findings: string[],
  what: string,
  shown: readonly string[],
  expected: readonly string[],
) {
  if (Bun.deepEquals(shown, expected)) return;
  const at = expected.findIndex((text, index) => text !== shown[index]);
  findings.push(`${what}: ${shown.length}, not ${expected.length}; ${shown[at]} instead of ${expected[at]}`);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + CATCH_UP_MS;
  // What is missing then is found by the comparison.
  while (!await condition() && performance.now() < deadlineMs) await Bun.sleep(50);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "200" },
      seed: { type: "string", default: "1" },
      store: { type: "string", default: "sqlite" },
    },
  });
  const random = new Random(Number(values.seed));
  console.log(`processing loop: ${values.kills} kills, seed ${random.seed}, store ${values.store}`);
  const postgres = values.store === "postgres" ? await PostgresServer.start() : undefined;
  const result = await runProcessingLoop({
    kills: Number(values.kills),
    random,
    ...(postgres === undefined ? {} : { config: { store: { backend: "postgres", url: postgres.url } } }),
    onKill: (kill, orders) => {
      if (kill % 20 === 0) console.log(`${kill} kills, ${orders} orders`);
    },
  });
  await postgres?.remove();
  console.log(JSON.stringify(result));
  process.exitCode = result.findings.length === 0 ? 0 : 1;
}
