import { afterAll, beforeAll, expect } from "bun:test";
import { EscServer } from "../support/esc.ts";
import { browserTest, Dashboard, publish, readings, useBrowser } from "./browser.ts";

useBrowser();
let server: EscServer;
let dashboard: Dashboard;

beforeAll(async () => {
  server = await EscServer.start({
    config: {
      store: { topics: ["sensor.*"] },
      rules: {
        hot: {
          topics: ["sensor.*"],
          when: "payload.celsius > 90",
          alert: { severity: "critical", message: "{payload.room} burns", cooldown: "1ms" },
        },
        nonsense: { topics: ["nonsense"], when: "true", dead_letter: true },
      },
      windows: {
        warmth: {
          topics: ["sensor.*"],
          by: "payload.room",
          tumbling: "1s",
          idle_timeout: "1s",
          aggregates: { mean: "avg(payload.celsius)" },
        },
      },
    },
  });
}, 60_000);
afterAll(() => server.remove());

/** Runs with the dashboard open, and closes it whatever happens. */
function viewTest(name: string, view: string, run: () => Promise<void>): void {
  browserTest(name, async () => {
    dashboard = await Dashboard.open(server, { view });
    try {
      await run();
    } finally {
      await dashboard.close();
    }
  });
}

viewTest("the overview shows counters, state and health as they change", "overview", async () => {
  const { page } = dashboard;
  await dashboard.isLive();
  const events = dashboard.row("Lanes", "realtime").locator("td").last();
  const before = Number((await events.textContent())?.replaceAll(",", ""));
  await publish(server, readings(1200));
  await dashboard.row("Lanes", (before + 1200).toLocaleString("en")).waitFor();
  await page.locator(".figures li", { hasText: "Received" }).getByText(/[1-9].*\/s/).first().waitFor();
  expect(await page.locator(".chart canvas").count()).toBe(5);

  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await page.locator(".health .pill", { hasText: "PAUSED" }).waitFor();
  await dashboard.sees(/^Paused: lanes take nothing/);
  await page.getByRole("button", { name: "Resume" }).click();
  await page.locator(".health .pill", { hasText: "RUNNING" }).waitFor();
});

viewTest("topics are listed with their counts, and lead to their events", "topics", async () => {
  await publish(server, [{ topic: "orders.new", priority: 2, payload: "first order" }]);
  const row = dashboard.row("Topics", "orders.new");
  await row.waitFor();
  expect(await row.locator("td").nth(1).textContent()).toBe("transactional");
  await row.getByRole("link").click();
  await dashboard.row("Events", "first order").waitFor();
});

viewTest("a consumer group is shown with its lag and what it waits for", "consumers", async () => {
  await publish(server, readings(20));
  const body = JSON.stringify({
    member: "m1",
    topics: ["sensor.>"],
    from: "earliest",
    count: 5,
    lease_ms: 600_000,
  });
  const headers = { "content-type": "application/json" };
  const pulled = await fetch(server.url("/api/v1/consumers/kettles/pull"), { method: "POST", headers, body });
  expect(pulled.status).toBe(200);
  await dashboard.row("Durable consumers", "kettles").click();
  await dashboard.page.locator(".detail dl", { hasText: /Ready, held, failed\d+, 5, 0/ }).waitFor();
});

viewTest("an alert appears while the view is open", "alerts", async () => {
  await dashboard.isLive();
  await publish(server, [{ topic: "sensor.oven", priority: 4, payload: { room: "oven", celsius: 99 } }]);
  await dashboard.row("Alerts", "oven burns").click();
  expect(await dashboard.page.locator(".detail").textContent()).toContain("hot");
  await dashboard.page.locator(".detail a").click();
  await dashboard.row("Events", "sensor.oven").waitFor();
});

viewTest("a window's results are drawn by key", "windows", async () => {
  await publish(server, readings(10));
  await dashboard.row("Results", "kitchen").waitFor();
  await dashboard.page.getByLabel("Measure").selectOption("mean");
  await dashboard.page.locator(".legend button", { hasText: "kitchen" }).waitFor();
  expect(await dashboard.page.locator("figcaption h3").textContent()).toBe("warmth: mean");
});

viewTest("dead letters are looked at, requeued and given up, each after a question", "dlq", async () => {
  const { page } = dashboard;
  await publish(server, [{ topic: "nonsense", payload: "what is this" }]);
  // The processor is behind the log: the letter is there a moment after the event is durable.
  const search = page.getByRole("button", { name: "Search" });
  const row = dashboard.row("Dead letters", "what is this");
  while (!await row.isVisible()) {
    await search.click();
    await page.waitForTimeout(100);
  }
  await row.click();
  await dashboard.sees("processing_failed");
  await page.getByRole("button", { name: "Requeue…", exact: true }).click();
  await page.getByRole("dialog").getByText("Requeue 1 dead letter?").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Requeue…", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Requeue" }).click();
  await dashboard.sees("1 dead letter requeued");
  // Its rule kills it again.
  while (!await row.isVisible()) {
    await search.click();
    await page.waitForTimeout(100);
  }
  await page.getByRole("button", { name: "Give up all that match…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Give up" }).click();
  await dashboard.sees("1 dead letter given up");
  await dashboard.sees(/^No dead letters/);
});

viewTest(
  "the log is searched by topic, place and time; a payload is shown as JSON and as bytes",
  "log",
  async () => {
    const { page } = dashboard;
    await publish(server, [
      { topic: "search.me", key: "k1", headers: { trace: "abc" }, payload: { answer: 42 } },
      { topic: "search.binary", payload: "AP8Q", encoding: "base64" },
    ]);
    await page.getByLabel("Topic pattern").fill("search.*");
    await page.getByRole("button", { name: "Search" }).click();
    await dashboard.row("Events", "search.me").click();
    expect(await page.getByLabel("Payload", { exact: true }).textContent()).toBe(`{\n  "answer": 42\n}`);
    expect(await page.locator(".detail dl").textContent()).toContain("Header traceabc");
    await page.getByRole("button", { name: "HEX" }).click();
    expect(await page.getByLabel("Payload", { exact: true }).textContent()).toContain(
      "7b 22 61 6e 73 77 65 72",
    );
    await dashboard.row("Events", "search.binary").click();
    expect(await page.getByLabel("Payload", { exact: true }).textContent()).toContain("000000  00 ff 10");

    const place = await dashboard.row("Events", "search.me").locator("td").nth(1).textContent();
    const [, lane = "", shard = "", offset = ""] = /^(\w+)\/(\d+) @ (\d+)$/.exec(place ?? "") ?? [];
    await dashboard.show(`log?lane=${lane}&shard=${shard}&from_offset=${offset}&limit=1`);
    await page.locator(".more", { hasText: "1 event" }).waitFor();
    await dashboard.row("Events", "search.me").waitFor();
    await dashboard.show(`log?topic=search.*&from_time=2001-01-01T00:00:00Z&to_time=2001-01-02T00:00:00Z`);
    await dashboard.sees("No event matches.");
  },
);

viewTest("the log is followed: events appear as they are published, the newest first", "log", async () => {
  await dashboard.page.getByRole("button", { name: "Follow", exact: true }).click();
  await dashboard.sees("Waiting for events");
  // The subscription begins with the newest event once it is there; until then nobody would see them.
  const row = dashboard.row("Events", "follow.me");
  while (!await row.isVisible()) await publish(server, [{ topic: "follow.me", payload: "1" }]);
  await publish(server, [{ topic: "follow.me", payload: "the last" }]);
  await dashboard.row("Events", "the last").waitFor();
  expect(await row.textContent()).toContain("the last");
});

viewTest("an event published by hand is in the log, as it was typed", "publish", async () => {
  const { page } = dashboard;
  await page.getByLabel("Topic", { exact: true }).fill("by.hand");
  await page.getByLabel("Key", { exact: true }).fill("left");
  await page.getByLabel("Priority").selectOption("CRITICAL");
  await page.getByLabel("Payload", { exact: true }).fill("  two spaces\nand a line ");
  await page.getByLabel("Headers").fill("trace: 1");
  await page.getByRole("button", { name: "Publish" }).click();
  await dashboard.sees("1 event published (durable)");
  const { events } = await (await fetch(server.url("/api/v1/events?topic=by.hand"))).json() as {
    events: Record<string, unknown>[];
  };
  expect(events).toMatchObject([
    {
      topic: "by.hand",
      lane: "realtime",
      key: "left",
      headers: { trace: "1" },
      payload: "  two spaces\nand a line ",
    },
  ]);
  await page.getByLabel("Topic", { exact: true }).fill("no//topic//" + "x".repeat(240));
  await page.getByLabel("Headers").fill("no header");
  await page.getByRole("button", { name: "Publish" }).click();
  await dashboard.sees("Not a header");
});

viewTest("the configuration is shown and read again", "config", async () => {
  await dashboard.page.getByLabel("Key contains").fill("windows.warmth.tumbling");
  await dashboard.row("Configuration", "windows.warmth.tumbling").getByText("1s").waitFor();
  await dashboard.page.getByRole("button", { name: "Read the file again" }).click();
  await dashboard.sees("Nothing has changed");
});

viewTest("views, theme, charts and dialogs are reached by keys alone", "overview", async () => {
  const { page } = dashboard;
  await dashboard.isLive();
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to content");
  await page.keyboard.press("2");
  await page.getByRole("heading", { name: "Topics", level: 2 }).waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("1t?");
  expect(await page.getByLabel(/^Pattern/).inputValue()).toBe("1t?");
  await page.keyboard.press("Tab");
  await page.evaluate(() => (document.activeElement instanceof HTMLElement) && document.activeElement.blur());
  await page.keyboard.press("t");
  expect(await page.locator("html").getAttribute("data-theme")).toBe("dark");
  await page.keyboard.press("?");
  await page.getByRole("dialog").getByText("dark or light").waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("1");
  await page.keyboard.press("+");
  await page.locator(`button[aria-label="Follow the newest"]:enabled`).waitFor();
  await page.locator(".plot").first().focus();
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("0");
  await page.locator(`button[aria-label="Follow the newest"]:disabled`).waitFor();
  await page.keyboard.press("p");
  await page.getByRole("button", { name: "Frozen" }).waitFor();
});

viewTest(
  "charts are zoomed by dragging, moved with Shift, and their lines are left out by name",
  "overview",
  async () => {
    const { page } = dashboard;
    await dashboard.isLive();
    const following = page.getByRole("button", { name: "Follow the newest" });
    const over = page.locator(`[data-chart="rate-accepted"] .u-over`);
    await over.scrollIntoViewIfNeeded();
    const box = await over.boundingBox();
    if (box === null) throw new Error("The chart is not there");
    const drag = async (from: number, to: number) => {
      await page.mouse.move(box.x + box.width * from, box.y + 50);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * to, box.y + 60, { steps: 4 });
      await page.mouse.up();
    };
    /** Begin of the time that is shown, as a drawing of it says. */
    const firstTime = async () => {
      const { bytes } = await dashboard.download(async () => {
        await page.getByRole("button", { name: "Export Events by lane" }).click();
        await page.getByRole("button", { name: "SVG", exact: true }).click();
      });
      return /\d\d:\d\d:\d\d/.exec(bytes.toString().slice(bytes.indexOf('text-anchor="end"')))?.[0];
    };
    expect(await following.isDisabled()).toBe(true);
    await drag(0.2, 0.7);
    await page.locator(`button[aria-label="Follow the newest"]:enabled`).waitFor();
    const zoomed = await firstTime();
    expect(zoomed).toBeDefined();
    await page.keyboard.down("Shift");
    await drag(0.2, 0.9);
    await page.keyboard.up("Shift");
    expect(await firstTime()).not.toBe(zoomed);
    await over.dblclick();
    await page.locator(`button[aria-label="Follow the newest"]:disabled`).waitFor();

    const batch = page.locator(`[data-chart="rate-accepted"] .legend button`, { hasText: "batch" });
    await batch.click();
    expect(await batch.getAttribute("aria-pressed")).toBe("false");
    await page.getByRole("group", { name: "Lanes in the charts" }).getByRole("button", {
      name: "transactional",
    }).click();
    await batch.waitFor();
    expect(await page.locator(`[data-chart="rate-accepted"] .legend button span`).allTextContents()).toEqual([
      "realtime",
      "batch",
    ]);
  },
);
