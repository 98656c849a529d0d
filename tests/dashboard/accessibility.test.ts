import { afterAll, beforeAll, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { EscServer } from "../support/esc.ts";
import { browserTest, Dashboard, publish, readings, useBrowser } from "./browser.ts";

const AXE = readFileSync(join(import.meta.dir, "..", "..", "node_modules", "axe-core", "axe.min.js"), "utf8");
const VIEWS = [
  "overview",
  "topics",
  "consumers",
  "alerts",
  "windows",
  "dlq",
  "log",
  "publish",
  "config",
  "market",
];

interface Finding {
  readonly id: string;
  readonly impact: string | null;
  readonly nodes: readonly { readonly html: string }[];
}

useBrowser();
let server: EscServer;
beforeAll(async () => {
  server = await EscServer.start({
    config: {
      store: { topics: [">"] },
      rules: { any: { topics: ["sensor.*"], when: "true", alert: { message: "seen" }, dead_letter: true } },
      windows: {
        all: { topics: ["sensor.*"], tumbling: "1s", idle_timeout: "1s", aggregates: { n: "count()" } },
      },
    },
  });
  await publish(server, readings(40));
}, 60_000);
afterAll(() => server.remove());

for (const [width, colorScheme] of [[1440, "light"], [360, "dark"]] as const) {
  browserTest(
    `axe finds nothing serious in any view, ${colorScheme}, ${width} pixels wide; nothing is cut off`,
    async () => {
      const dashboard = await Dashboard.open(server, { width, colorScheme });
      const { page } = dashboard;
      const found: string[] = [];
      try {
        await dashboard.isLive();
        // The policy of the page would keep the checker out; the protocol of the debugger does not ask it.
        const session = await page.context().newCDPSession(page);
        for (const view of VIEWS) {
          await dashboard.show(view);
          await page.getByRole("heading", { level: 2 }).waitFor();
          if (["alerts", "dlq", "log"].includes(view)) await page.locator("main tbody tr").first().click();
          await session.send("Runtime.evaluate", { expression: AXE });
          const { result } = await session.send("Runtime.evaluate", {
            expression:
              `axe.run(document, { resultTypes: ["violations"] }).then((all) => JSON.stringify(all.violations))`,
            awaitPromise: true,
          });
          const findings: readonly Finding[] = JSON.parse(String(result.value));
          for (const { id, impact, nodes } of findings) {
            if (impact === "serious" || impact === "critical") {
              found.push(`${view}: ${id}: ${nodes[0]?.html}`);
            }
          }
          const wide = await page.evaluate(() => document.documentElement.scrollWidth);
          if (wide > width) found.push(`${view}: the page is ${wide} pixels wide`);
        }
        expect(found).toEqual([]);
      } finally {
        await dashboard.close();
      }
    },
  );
}
