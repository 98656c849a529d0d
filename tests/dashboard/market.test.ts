import { afterAll, expect } from "bun:test";
import type { Simulator } from "../../src/ingest/feeds/simulator.ts";
import { feedTo, recordedLines, type RecordedVenue, simulate } from "../e2e/venue.ts";
import { EscServer } from "../support/esc.ts";
import { browserTest, Dashboard, useBrowser } from "./browser.ts";

const VENUE: RecordedVenue = {
  dialect: "binance",
  venue: "binance-coinm",
  files: ["binance-coinm/btcusd_perp_first3000.gz"],
  snapshotSymbol: "BTCUSD_PERP",
};

useBrowser();
let server: EscServer | undefined;
let simulator: Simulator | undefined;
afterAll(async () => {
  await server?.remove();
  await simulator?.stop();
});

browserTest("the market page shows a feed's candles, book, volume by price and quality", async () => {
  simulator = simulate(VENUE, await recordedLines(VENUE));
  const feed = feedTo(simulator, VENUE, ["BTCUSD_PERP"], { profile_row: "10" });
  server = await EscServer.start({ config: { feeds: [feed] } });
  const dashboard = await Dashboard.open(server, { view: "market" });
  const { page } = dashboard;
  try {
    await page.locator(".ladder .pill.live").waitFor();
    await dashboard.row("Lines", "binance-coinm").locator(".pill.running", { hasText: "open" }).waitFor();
    // The recording is at its end: what is shown is what the API says, digit by digit.
    const book = await settledBook(server);
    await page.locator(".ladder .middle", { hasText: book.mid }).waitFor();
    expect(await page.locator(".ladder tr.bid td:first-child").allTextContents()).toEqual(
      book.bids.map(([price]) => price),
    );
    await page.locator(".profile tbody tr").first().waitFor();
    await page.locator(".quality .score").waitFor();

    await page.getByRole("button", { name: "1 s", exact: true }).click();
    const { bytes } = await dashboard.download(async () => {
      await page.getByRole("button", { name: "Export BTC-USD-PERP at binance-coinm" }).click();
      await page.getByRole("button", { name: "CSV", exact: true }).click();
    });
    const [head, first] = bytes.toString().split("\r\n");
    expect(head).toBe(`"time","open","high","low","close","volume","vwap","trades"`);
    expect(first).toBe("2024-08-08T23:54:17.000Z,61804.8,61804.8,61804.8,61804.8,4,61804.8,1");
  } finally {
    await dashboard.close();
  }
});

/** The book when nothing comes any more. */
async function settledBook(
  server: EscServer,
): Promise<{ mid: string; updates: number; bids: [string, string][] }> {
  let before = -1;
  for (;;) {
    const response = await fetch(server.url("/api/v1/market/books/binance-coinm/BTC-USD-PERP?levels=10"));
    const book = await response.json() as Awaited<ReturnType<typeof settledBook>>;
    if (book.updates === before && book.updates > 1000) return book;
    before = book.updates;
    await Bun.sleep(200);
  }
}
