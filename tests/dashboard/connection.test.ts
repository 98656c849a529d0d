import { afterAll, expect } from "bun:test";
import { EscServer } from "../support/esc.ts";
import { freePort } from "../support/ports.ts";
import { browserTest, Dashboard, publish, readings, useBrowser } from "./browser.ts";

useBrowser();
const servers: EscServer[] = [];
afterAll(async () => {
  for (const server of servers) await server.remove();
});

interface Saved {
  readonly rows: readonly (readonly number[])[];
}

async function savedRows(dashboard: Dashboard): Promise<Saved["rows"]> {
  const { bytes } = await dashboard.download(() =>
    dashboard.page.getByRole("button", { name: "Save" }).click()
  );
  return (JSON.parse(bytes.toString()) as Saved).rows;
}

/** All that the server has in its history. */
async function measuredRows(server: EscServer): Promise<Saved["rows"]> {
  const response = await fetch(server.url("/api/v1/live"));
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const rows = /event: rows\ndata: (.*)\n\n/.exec(text)?.[1];
    const chunk = rows === undefined ? await reader?.read() : undefined;
    if (rows !== undefined || chunk?.value === undefined) {
      await reader?.cancel();
      return JSON.parse(rows ?? "[]");
    }
    text += decoder.decode(chunk.value, { stream: true });
  }
}

browserTest(
  "a killed server is told at once; when it is back, the page goes on with what it knew",
  async () => {
    const config = { http: { host: "127.0.0.1", port: await freePort() } };
    let server = await EscServer.start({ config });
    servers.push(server);
    const dashboard = await Dashboard.open(server);
    try {
      await dashboard.isLive();
      await publish(server, readings(10));
      await dashboard.row("Lanes", "10").waitFor();
      const before = await savedRows(dashboard);

      await server.kill();
      await dashboard.page.locator(".connection.lost", { hasText: "Connection lost" }).waitFor();
      server = await EscServer.start({ config, folder: server.folder });
      servers.push(server);
      await dashboard.isLive();
      await publish(server, readings(33));
      // Counters begin anew; the log does not.
      await dashboard.row("Lanes", "33").waitFor();
      const after = await savedRows(dashboard);
      expect(after.slice(0, before.length)).toEqual([...before]);
      expect(after.length).toBeGreaterThan(before.length);
      const times = after.map(([ms = NaN]) => ms);
      expect(times).toEqual([...times].sort((a, b) => a - b));
    } finally {
      await dashboard.close();
    }
  },
);

browserTest(
  "seconds that a page was cut off are there when it is connected again, and after a reload",
  async () => {
    const server = await EscServer.start();
    servers.push(server);
    const dashboard = await Dashboard.open(server);
    try {
      await dashboard.isLive();
      await dashboard.page.context().setOffline(true);
      await dashboard.page.evaluate(() => globalThis.dispatchEvent(new Event("online")));
      await dashboard.page.locator(".connection.lost").waitFor();
      // What happens meanwhile is measured by the server: three of its looks.
      await publish(server, readings(77));
      await dashboard.page.waitForTimeout(3000);
      await dashboard.page.context().setOffline(false);
      await dashboard.isLive();
      await dashboard.row("Lanes", "77").waitFor();
      const rows = await savedRows(dashboard);
      expect(rows.length).toBeGreaterThan(3);
      const last = rows.at(-1)?.[0] ?? NaN;
      expect(rows).toEqual((await measuredRows(server)).filter(([ms = NaN]) => ms <= last));

      await dashboard.page.reload();
      await dashboard.isLive();
      await dashboard.row("Lanes", "77").waitFor();
      const reloaded = await savedRows(dashboard);
      expect(reloaded.length).toBeGreaterThanOrEqual(rows.length);
      expect(reloaded[0]).toEqual(rows[0] ?? []);
    } finally {
      await dashboard.close();
    }
  },
);

browserTest("a server that is asked to end does not wait for those who watch", async () => {
  const server = await EscServer.start();
  servers.push(server);
  const dashboard = await Dashboard.open(server);
  await dashboard.isLive();
  expect(await server.stop()).toBe(0);
  await dashboard.page.locator(".connection.lost").waitFor();
  await dashboard.close();
});
