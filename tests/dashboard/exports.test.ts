import { afterAll, beforeAll, expect } from "bun:test";
import { EscServer } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { browserTest, Dashboard, publish, readings, useBrowser } from "./browser.ts";

useBrowser();
let server: EscServer;
beforeAll(async () => {
  server = await EscServer.start();
}, 60_000);
afterAll(() => server.remove());

/** Opens the overview when the server has counted so many events more, and exports the first chart. */
async function exported(format: string): Promise<{ name: string; bytes: Buffer }> {
  const dashboard = await Dashboard.open(server);
  try {
    await dashboard.isLive();
    const total = dashboard.row("Lanes", "realtime").locator("td").last();
    const before = Number((await total.textContent())?.replaceAll(",", ""));
    await publish(server, readings(500));
    await dashboard.row("Lanes", (before + 500).toLocaleString("en")).waitFor();
    return await dashboard.download(async () => {
      const chart = dashboard.page.locator(`[data-chart="rate-accepted"]`);
      await chart.getByRole("button", { name: "Export Events by lane" }).click();
      await chart.getByRole("button", { name: format, exact: true }).click();
    });
  } finally {
    await dashboard.close();
  }
}

browserTest("a chart is exported as PNG at twice its size, with something on it", async () => {
  const { name, bytes } = await exported("PNG");
  expect(name).toBe("esc-rate-accepted.png");
  expect(bytes.subarray(0, 8).toString("hex")).toBe("89504e470d0a1a0a");
  expect([bytes.readUInt32BE(16), bytes.readUInt32BE(20)]).toEqual([1920, 880]);
  // An empty picture of this size is smaller.
  expect(bytes.length).toBeGreaterThan(8_000);
});

browserTest(
  "a chart is exported as SVG that is well formed, with a line and a label for each lane",
  async () => {
    const { bytes } = await exported("SVG");
    const dashboard = await Dashboard.open(server);
    const counts = await dashboard.page.context().newPage().then((page) =>
      page.evaluate((text) => {
        const svg = new DOMParser().parseFromString(text, "image/svg+xml");
        const texts = [...svg.querySelectorAll("text")].map((element) => element.textContent);
        return {
          root: svg.documentElement.nodeName,
          errors: svg.querySelectorAll("parsererror").length,
          lines: svg.querySelectorAll("polyline[stroke-width='1.75']").length,
          texts,
        };
      }, bytes.toString())
    );
    await dashboard.close();
    expect(counts).toMatchObject({ root: "svg", errors: 0 });
    expect(counts.lines).toBeGreaterThanOrEqual(3);
    for (const text of ["Events by lane", "realtime", "transactional", "batch", "0/s"]) {
      expect(counts.texts)
        .toContain(text);
    }
  },
);

browserTest("a chart is exported as CSV whose rates add up to the events that were accepted", async () => {
  const { bytes } = await exported("CSV");
  const stats = await (await fetch(server.url("/api/v1/stats"))).json() as { events: { accepted: number } };
  const [head, ...lines] = bytes.toString().trimEnd().split("\r\n");
  expect(head).toBe(`"time","realtime (events/s)","transactional (events/s)","batch (events/s)"`);
  const rows = lines.map((line) => line.split(","));
  let sum = 0;
  rows.forEach(([time = "", ...rates], index) => {
    const seconds = (Date.parse(time) - Date.parse(rows[index - 1]?.[0] ?? time)) / 1000;
    sum += seconds * rates.reduce((all, rate) => all + Number(rate), 0);
  });
  // All were published while the server was watched, and the chart shows all of it.
  expect(Math.round(sum)).toBe(stats.events.accepted);
});

browserTest("a chart is exported as a PDF that other programs read", async () => {
  const { bytes } = await exported("PDF");
  const text = bytes.toString("latin1");
  expect(text.startsWith("%PDF-1.4\n")).toBe(true);
  expect(text.trimEnd().endsWith("%%EOF")).toBe(true);
  const start = Number(/startxref\n(\d+)/.exec(text)?.[1]);
  expect(text.slice(start, start + 4)).toBe("xref");
  const offsets = [...text.slice(start).matchAll(/^(\d{10}) 00000 n $/gm)].map(([, digits]) =>
    Number(digits)
  );
  expect(offsets.map((at) => text.slice(at, text.indexOf("\n", at)))).toEqual(
    [1, 2, 3, 4, 5, 6].map((number) => `${number} 0 obj`),
  );
  const pdftotext = Bun.which("pdftotext");
  if (pdftotext === null) {
    console.warn(
      "pdftotext (poppler-utils) is not installed: the PDF's text was not read by another program",
    );
    return;
  }
  const reader = Bun.spawn([pdftotext, "-", "-"], { stdin: bytes, stdout: "pipe", stderr: "pipe" });
  const read = await new Response(reader.stdout).text();
  expect(await new Response(reader.stderr).text()).toBe("");
  for (const word of ["Events by lane", "realtime", "transactional", "batch"]) expect(read).toContain(word);
});

browserTest("what was measured is saved, and looked at again from the file", async () => {
  const folder = new TemporaryFolder("dashboard");
  const dashboard = await Dashboard.open(server);
  const { page } = dashboard;
  try {
    await dashboard.isLive();
    await publish(server, readings(50));
    await dashboard.row("Lanes", "realtime").waitFor();
    const { name, bytes } = await dashboard.download(() =>
      page.getByRole("button", { name: "Save" }).click()
    );
    expect(name).toMatch(/^esc-live-[\d-]+\.json$/);
    const saved = JSON.parse(bytes.toString()) as { format: string; columns: object[]; rows: number[][] };
    expect(saved.format).toBe("esc-live/1");
    expect(saved.rows.every((row) => row.length === saved.columns.length)).toBe(true);

    // A file in which something else happened, so that it is seen where the numbers come from.
    const column = saved.columns.findIndex((it) =>
      "lane" in it && it.lane === "realtime" && "name" in it && it.name === "accepted"
    );
    const last = saved.rows.at(-1);
    if (last === undefined) throw new Error("nothing was saved");
    last[column] = 7_654_321;
    await Bun.write(folder.path("other.json"), JSON.stringify(saved));
    await page.getByLabel("Open").setInputFiles(folder.path("other.json"));
    await page.getByText("Charts show the file other.json").waitFor();
    await dashboard.row("Lanes", "7,654,321").waitFor();
    await page.getByRole("button", { name: "Back to live" }).click();
    await dashboard.row("Lanes", "7,654,321").waitFor({ state: "detached" });

    last[1] = NaN;
    const bad = { ...saved, rows: [[1, 2, 3]] };
    for (
      const [text, problem] of [
        ["<html>", "The file is not JSON"],
        [`{"format": "other"}`, "The file was not saved by this dashboard"],
        [JSON.stringify(bad), "Row 1 of the file is not"],
        [JSON.stringify({ ...saved, columns: [{ name: "x" }] }), "The columns of the file cannot be read"],
      ] as const
    ) {
      await Bun.write(folder.path("bad.json"), text);
      await page.getByLabel("Open").setInputFiles(folder.path("bad.json"));
      await page.getByText(problem).waitFor();
    }
  } finally {
    await dashboard.close();
    folder.remove();
  }
});
