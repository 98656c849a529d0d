/** Figures over a SIGKILL: of a server with a feed, and of a replay into a file. */
import { afterEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Simulator } from "../../src/ingest/feeds/simulator.ts";
import { EscServer, EXECUTABLE, runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { queryEvents } from "./read-log.ts";
import { feedTo, recordedLines, type RecordedVenue, simulate } from "./venue.ts";

const MARKET = join(import.meta.dir, "..", "fixtures", "market");
const COINM: RecordedVenue = {
  dialect: "binance",
  venue: "binance-coinm",
  files: ["binance-coinm/btcusd_perp_first3000.gz"],
  snapshotSymbol: "BTCUSD_PERP",
};
const TOPIC = "market.binance-coinm.BTC-USD-PERP";

const folders: TemporaryFolder[] = [];
const servers: EscServer[] = [];
const simulators: Simulator[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
  for (const simulator of simulators.splice(0)) await simulator.stop();
  for (const folder of folders.splice(0)) folder.remove();
});

interface Told {
  readonly kind: string;
  readonly start_us: number;
  readonly time_us: number;
  readonly revision: number;
  readonly incomplete?: boolean;
  readonly qty: string;
  readonly volume: string;
  readonly ema_9?: number;
  readonly id: number;
  readonly event: string;
  readonly missing: number;
}

async function told(server: EscServer, kind: string): Promise<Told[]> {
  return (await queryEvents(server, `${TOPIC}.${kind}`)).map(({ payload }) => JSON.parse(payload));
}

test("after SIGKILL bars, indicators and profile go on, and trades that were missed are told", async () => {
  const lines = await recordedLines(COINM);
  const simulator = simulate(COINM, lines, { speed: 4 });
  simulators.push(simulator);
  const feed = feedTo(simulator, COINM, ["BTCUSD_PERP"], {
    bars: ["250ms"],
    checkpoint: "100ms",
    profile_row: "1",
    flow: "100ms",
  });
  const first = await EscServer.start({ config: { feeds: [feed] } });
  const { folder } = first;
  while ((await told(first, "bar")).length < 8) await Bun.sleep(20);
  await first.kill();
  const second = await EscServer.start({ folder, config: { feeds: [feed] } });
  servers.push(second);
  await simulator.finished;
  // The last trade is in the log, and the flow has told it.
  const lastId = Number(
    /"t":(\d+)/.exec(lines.findLast(({ text }) => text.includes('"e":"trade"'))?.text ?? "")?.[1],
  );
  const volumeOf = (trades: readonly Told[]) => trades.reduce((sum, { qty }) => sum + Number(qty), 0);
  let trades = await told(second, "trade");
  let flow = (await told(second, "flow")).at(-1);
  for (let left = 500; left > 0; left--) {
    if (trades.at(-1)?.id === lastId && Number(flow?.volume) === volumeOf(trades)) break;
    await Bun.sleep(20);
    trades = await told(second, "trade");
    flow = (await told(second, "flow")).at(-1);
  }
  // Totals since the session began: those of before the kill are in them, each once.
  expect(Number(flow?.volume)).toBe(volumeOf(trades));
  expect(new Set(trades.map(({ id }) => id)).size).toBe(trades.length);

  // What neither run took is told as missing, number for number.
  const missing = (await told(second, "integrity")).filter(({ event }) => event === "trades_missing");
  const span = lastId - (trades[0]?.id ?? NaN) + 1;
  expect(missing.reduce((sum, one) => sum + one.missing, 0)).toBe(span - trades.length);

  // A bar that does not cover the gap is the bar of the trades in the log; indicators did not begin anew.
  const bars = (await told(second, "bar")).filter(({ revision, incomplete }) =>
    revision === 0 && !incomplete
  );
  expect(bars.length).toBeGreaterThan(8);
  for (const bar of bars) {
    const inside = trades.filter(({ time_us }) =>
      time_us >= bar.start_us && time_us < bar.start_us + 250_000
    );
    expect([bar.start_us, Number(bar.volume)]).toEqual([bar.start_us, volumeOf(inside)]);
  }
  // Eight bars were told before the kill: a mean of nine is known from the next one on.
  const averages = (await told(second, "indicator")).map(({ ema_9 }) => ema_9 !== undefined);
  expect(averages.lastIndexOf(false)).toBe(7);
}, 60_000);

test("a replay killed at any time and run again writes the same file as one that was not", async () => {
  const folder = new TemporaryFolder("market-restart");
  folders.push(folder);
  const args = (name: string, speed: string) => [
    "replay",
    "recording",
    join(MARKET, "coinbase-exchange/ws.gz"),
    "--venue=coinbase",
    `--speed=${speed}`,
    "--profile-row=0.001",
    "--vpin-bucket=0.5",
    `--output=${folder.path(name)}`,
  ];
  const whole = await runEsc(args("whole", "max"));
  expect([whole.status, whole.stderr.includes("5,651 lines")]).toEqual([0, true]);
  const state = folder.path("state");
  const broken = [...args("broken", "max"), `--state=${state}`];
  // The second one goes on from a state; both are killed while they write.
  for (const wanted of [1, 2]) {
    const before = existsSync(state) ? readFileSync(state, "utf8") : "";
    const process = Bun.spawn([EXECUTABLE, ...args("broken", "20"), `--state=${state}`], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    while (process.exitCode === null && (!existsSync(state) || readFileSync(state, "utf8") === before)) {
      await Bun.sleep(5);
    }
    process.kill("SIGKILL");
    await process.exited;
    expect([wanted, existsSync(state)]).toEqual([wanted, true]);
  }
  const atKill = statSync(folder.path("broken")).size;
  const { status } = await runEsc(broken);
  expect([status, existsSync(state)]).toEqual([0, false]);
  const hash = (name: string) => createHash("sha256").update(readFileSync(folder.path(name))).digest("hex");
  expect(atKill).toBeLessThan(statSync(folder.path("whole")).size);
  expect(hash("broken")).toBe(hash("whole"));
}, 60_000);

test("a state of another replay, and a state without an output, are refused", async () => {
  const folder = new TemporaryFolder("market-restart");
  folders.push(folder);
  const recording = join(MARKET, "okx-v5/ws.gz");
  const { status, stderr } = await runEsc(["replay", "recording", recording, "--venue=okx", "--state=s"]);
  expect([status, stderr.includes("--state needs --output")]).toEqual([2, true]);
  await Bun.write(folder.path("state"), '{"of":"x","lines":1,"bytes":0}\nnothing');
  const damaged = await runEsc([
    "replay",
    "recording",
    recording,
    "--venue=okx",
    `--output=${folder.path("out")}`,
    `--state=${folder.path("state")}`,
  ]);
  expect([damaged.status, damaged.stderr.includes("is damaged")]).toEqual([2, true]);
});
