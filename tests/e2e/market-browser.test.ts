/** The examples as a user runs them: the relay in Node, the page in Chromium, behind them esc and a simulated venue. */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { summarise } from "../../src/book/analytics.ts";
import type { Simulator } from "../../src/ingest/feeds/simulator.ts";
import { EscServer } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { untilHolds } from "./told-figures.ts";
import { feedTo, recordedLines, type RecordedVenue, simulate } from "./venue.ts";

const EXAMPLES = join(import.meta.dir, "..", "..", "examples");
const OKX: RecordedVenue = { dialect: "okx", venue: "okx", files: ["okx-v5/ws.gz"] };
const CHROMIUM = Bun.which("chromium");
const NODE = Bun.which("node");
const MISSING = NODE === null
  ? " (skipped: node is not installed)"
  : CHROMIUM === null
  ? " (skipped: chromium is not installed)"
  : "";

const undo: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** Bundles a file of the examples into a folder. */
async function bundle(entry: string, outdir: string, target: "node" | "browser"): Promise<void> {
  const built = await Bun.build({
    entrypoints: [join(EXAMPLES, entry)],
    outdir,
    target,
    define: { "process.env.NODE_ENV": '"production"' },
  });
  expect(built.logs.map(String)).toEqual([]);
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`The relay ended: ${text}`);
    text += new TextDecoder().decode(value);
  }
  return text.trim();
}

test.skipIf(MISSING !== "")(
  `React page behind the Node relay: book, trades, bars, health, and a cache that survives a reload${MISSING}`,
  async () => {
    const folder = new TemporaryFolder("market-browser");
    undo.push(() => folder.remove());
    await bundle("market-relay/relay.ts", folder.path("relay"), "node");
    await bundle("market-react/index.html", folder.path("page"), "browser");
    const shows = Promise.withResolvers<void>();
    const lines = await recordedLines(OKX);
    // The second half comes when the page shows the first: it must come as live events.
    const half = lines.length >> 1;
    const simulator: Simulator = simulate(OKX, lines, {
      before: (at) => at === half ? shows.promise : undefined,
    });
    undo.push(() => simulator.stop());
    const server = await EscServer.start({
      config: { feeds: [feedTo(simulator, OKX, ["BTC-USDT"], { bars: ["1s"] })] },
    });
    undo.push(() => server.remove());
    const esc = server.url("/api/v1/subscribe").replace("http", "ws");
    const browser = await chromium.launch({
      executablePath: CHROMIUM ?? "",
      args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
    });
    undo.push(() => browser.close());
    const relay = Bun.spawn(
      [
        NODE ?? "node",
        folder.path("relay", "relay.js"),
        `--esc=${esc}`,
        "--port=0",
        `--page=${folder.path("page")}`,
        "--from=earliest",
      ],
      { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
    );
    undo.push(() => {
      relay.kill("SIGKILL");
      return relay.exited;
    });
    const url = await firstLine(relay.stdout);
    const page = await browser.newPage();
    page.setDefaultTimeout(30_000);
    const problems: string[] = [];
    page.on("pageerror", ({ message }) => problems.push(message));
    const address = `${url}?symbol=BTC-USDT&venue=okx`;
    await page.goto(address);
    await untilHolds("a book on the page", async () => await page.locator("#book tr").count() > 0);
    shows.resolve();
    await simulator.finished;
    const truth = simulator.book("BTC-USDT");
    if (truth === undefined) throw new Error("The simulator has no book");
    const { bids, asks } = summarise(truth.book, 10);
    const wanted = [...asks.toReversed(), ...bids].map(([price, qty]) => `${price} ${qty}`);
    const shown = () =>
      page.locator("#book tr").evaluateAll((rows) =>
        rows.map((row) => Array.from(row.querySelectorAll("td"), ({ textContent }) => textContent).join(" "))
      );
    await untilHolds("the venue's book on the page", async () => Bun.deepEquals(await shown(), wanted));
    await untilHolds(
      "health on the page",
      async () => await page.locator("#health").textContent() === "healthy",
    );

    expect(await page.locator("#remembered").textContent()).toBe("0");
    const stored = await page.evaluate(async () => {
      // Blocks are written every second, those of trades among them.
      for (let left = 100; left > 0; left--) {
        const names = await indexedDB.databases();
        const database = await new Promise<IDBDatabase>((resolve, reject) => {
          const opening = indexedDB.open("esc-market-example");
          opening.onsuccess = () => resolve(opening.result);
          opening.onerror = () => reject(opening.error);
        });
        const blocks = await new Promise<{ topic: string }[]>((resolve) => {
          const reading = database.transaction("blocks").objectStore("blocks").getAll();
          reading.onsuccess = () => resolve(reading.result);
        });
        database.close();
        if (blocks.some(({ topic }) => topic.endsWith(".trade"))) {
          return { databases: names.map(({ name }) => name) };
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return undefined;
    });
    expect(stored?.databases).toContain("esc-market-example");
    await page.reload();
    await untilHolds(
      "remembered trades",
      async () => Number(await page.locator("#remembered").textContent()) > 0,
    );
    // The relay gives who comes late each book whole.
    await untilHolds("the book again", async () => Bun.deepEquals(await shown(), wanted));
    expect(problems).toEqual([]);
  },
  90_000,
);
