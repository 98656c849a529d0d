/** Thinned ticks, the buffer of ticks, alerts and the report on all feeds, through the executable. */
import { afterEach, expect, test } from "bun:test";
import type { Simulator } from "../../src/ingest/feeds/simulator.ts";
import { EscServer } from "../support/esc.ts";
import { ToldFigures, untilHolds } from "./told-figures.ts";
import { feedTo, recordedLines, type RecordedVenue, simulate } from "./venue.ts";

const COINM: RecordedVenue = {
  dialect: "binance",
  venue: "binance-coinm",
  files: ["binance-coinm/btcusd_perp_first3000.gz"],
  snapshotSymbol: "BTCUSD_PERP",
};

const servers: EscServer[] = [];
const simulators: Simulator[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
  for (const simulator of simulators.splice(0)) await simulator.stop();
});

test(
  "merged ticks keep the volume, the high and the low; figures are made of all; the buffer has the newest",
  async () => {
    const lines = await recordedLines(COINM);
    const simulator = simulate(COINM, lines);
    simulators.push(simulator);
    const feed = feedTo(simulator, COINM, ["BTCUSD_PERP"], {
      trades_per_second: 5,
      quotes_per_second: 5,
      throttle: "merge",
      bars: ["1s"],
      flow: "100ms",
      buffer_size: 100,
    });
    const server = await EscServer.start({ config: { feeds: [feed] } });
    servers.push(server);
    await simulator.finished;
    const recorded = lines.filter(({ text }) => text.includes('"e":"trade"')).map(({ text }) => {
      const { p, q } = JSON.parse(text).data;
      return { price: Number(p), qty: Number(q) };
    });
    const total = recorded.reduce((sum, { qty }) => sum + qty, 0);
    const told = new ToldFigures(server, "binance-coinm", "BTC-USD-PERP");
    const volumeOf = (trades: Record<string, unknown>[]) =>
      trades.reduce((sum, { qty }) => sum + Number(qty), 0);
    await untilHolds("all volume", async () => volumeOf(await told.events("trade")) === total);
    const trades = await told.events("trade");
    expect(trades.length).toBeLessThan(recorded.length);
    const of = (name: string) => trades.map((trade) => Number(trade[name] ?? trade["price"]));
    expect(Math.max(...of("high"))).toBe(Math.max(...recorded.map(({ price }) => price)));
    expect(Math.min(...of("low"))).toBe(Math.min(...recorded.map(({ price }) => price)));
    expect(trades.reduce((sum, { merged }) => sum + Number(merged ?? 1), 0)).toBe(recorded.length);
    // Figures are made of what came, not of what was published.
    await untilHolds(
      "the flow",
      async () => Number((await told.now("flow"))?.["trades"]) === recorded.length,
    );
    expect(Number((await told.now("flow"))?.["volume"])).toBe(total);
    const kept = (await told.now("ticks", "?kind=trade"))?.["ticks"];
    const ids = (list: unknown) => (Array.isArray(list) ? list : []).map(({ id }) => id);
    const events = trades.map(({ id }) => id);
    expect(ids(kept).length).toBeGreaterThan(0);
    expect(events.slice(-ids(kept).length)).toEqual(ids(kept));
  },
  60_000,
);

test("bad quality is told on the feed and on the alert board; a report tells how all feeds are", async () => {
  const lines = await recordedLines(COINM);
  const simulator = simulate(COINM, lines);
  simulators.push(simulator);
  // The recording is of 2024: its latency is years, which is poor.
  const feed = feedTo(simulator, COINM, ["BTCUSD_PERP"], {
    bars: ["1s"],
    quality: "100ms",
    quality_alert: 90,
  });
  const server = await EscServer.start({ config: { feeds: [feed] } });
  servers.push(server);
  await simulator.finished;
  const told = new ToldFigures(server, "binance-coinm", "BTC-USD-PERP");
  await untilHolds(
    "the quality alert",
    async () => (await told.events("integrity")).some(({ event }) => event === "quality_alert_raised"),
  );
  const alerts = async () => (await (await fetch(server.url("/api/v1/alerts"))).json()).alerts;
  await untilHolds(
    "the alert on the board",
    async () => (await alerts()).some(({ rule }: { rule: string }) => rule === "market.quality"),
  );
  const [alert] = (await alerts()).filter(({ rule }: { rule: string }) => rule === "market.quality");
  expect(alert).toMatchObject({ severity: "WARNING", key: "binance-coinm.BTC-USD-PERP" });
  const quality = await told.now("quality");
  expect(quality).toMatchObject({ freshness: "poor", alerting: true, timeliness: 0 });
  // One alert, though it is judged ten times a second: it is withdrawn only at 95.
  expect((await told.events("integrity")).filter(({ event }) => event === "quality_alert_raised").length)
    .toBe(1);
  await simulator.stop();
  await untilHolds(
    "the lost line",
    async () => (await alerts()).some(({ rule }: { rule: string }) => rule === "market.line"),
  );
  await untilHolds("a report that says so", async () => {
    const response = await fetch(server.url("/api/v1/market/system"));
    return response.status === 200 && (await response.json()).health === "offline";
  });
  await untilHolds(
    "the alert of it",
    async () => (await alerts()).some(({ rule }: { rule: string }) => rule === "market.system"),
  );
}, 60_000);
