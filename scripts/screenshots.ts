/**
 * `npm run screenshots`: takes the pictures of docs/dashboard.md from the built executable, with made-up sensors
 * and a recorded exchange. Takes about two minutes and needs Debian's chromium.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { Dashboard } from "../tests/dashboard/browser.ts";
import { feedTo, recordedLines, type RecordedVenue, simulate } from "../tests/e2e/venue.ts";
import { EscServer, EXECUTABLE } from "../tests/support/esc.ts";
import { buildIfStale, ROOT } from "./build.ts";

const FOLDER = join(ROOT, "docs", "images");
/** A chart with less than a minute on it says little. */
const FILL_MS = 90_000;
/** What a view needs to be loaded and drawn. */
const SETTLE_MS = 2_500;
const VENUE: RecordedVenue = {
  dialect: "binance",
  venue: "binance-coinm",
  files: ["binance-coinm/btcusd_perp_first3000.gz"],
  snapshotSymbol: "BTCUSD_PERP",
};

interface Picture {
  readonly name: string;
  readonly view: string;
  readonly width?: number;
  readonly colorScheme?: "light" | "dark";
  readonly act?: (page: Page) => Promise<void>;
}

const PICTURES: readonly Picture[] = [
  { name: "dashboard", view: "overview" },
  { name: "dashboard-dark", view: "overview", colorScheme: "dark" },
  { name: "dashboard-360", view: "overview", width: 360, colorScheme: "dark" },
  { name: "dashboard-windows", view: "windows" },
  {
    name: "dashboard-log",
    view: "log?limit=50",
    act: (page) => page.locator("main tbody tr").nth(2).click(),
  },
  { name: "dashboard-market", view: "market" },
];

async function main(): Promise<void> {
  buildIfStale();
  mkdirSync(FOLDER, { recursive: true });
  const simulator = simulate(VENUE, await recordedLines(VENUE), { speed: 0.5 });
  const example = Bun.YAML.parse(readFileSync(join(ROOT, "config", "examples", "iot.yaml"), "utf8"));
  const server = await EscServer.start({
    config: {
      ...Object(example),
      feeds: [feedTo(simulator, VENUE, ["BTCUSD_PERP"], { profile_row: "2" })],
    },
  });
  const streams = [["iot", "300"], ["gaming", "200"], ["ecommerce", "120"]].map(([preset = "", rate = ""]) =>
    Bun.spawn(
      [EXECUTABLE, "generate", "--preset", preset, "--rate", rate, "--port", `${server.tcpPort}`],
      { stdout: "ignore", stderr: "ignore" },
    )
  );
  const subscription = await fetch(server.url("/api/v1/subscribe?topics=sensor.>"));
  void subscription.body?.pipeTo(new WritableStream());
  try {
    await Bun.sleep(FILL_MS);
    for (const { name, view, act, ...options } of PICTURES) {
      const dashboard = await Dashboard.open(server, { view, ...options });
      await dashboard.isLive();
      await dashboard.page.waitForTimeout(SETTLE_MS);
      await act?.(dashboard.page);
      await dashboard.page.screenshot({ path: join(FOLDER, `${name}.png`) });
      await dashboard.page.context().close();
    }
  } finally {
    for (const stream of streams) stream.kill();
    await server.remove();
    await simulator.stop();
  }
}

if (import.meta.main) {
  await main();
  // The browser would be kept for another page.
  process.exit(0);
}
