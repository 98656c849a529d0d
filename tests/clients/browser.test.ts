/** The TypeScript client in a browser, by WebSocket. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { buildPackage } from "../../clients/typescript/build.ts";
import type { Conformance, World } from "../../clients/typescript/conformance.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { CONFORMANCE, expected, Servers } from "./world.ts";

const CHROMIUM = Bun.which("chromium");
const SKIPPED = CHROMIUM === null ? " (skipped: chromium is not installed)" : "";
const TEST_MS = 120_000;
/** Where the package seems to lie: on each server itself, as a page may speak to its own origin only. */
const PATH = "/esc-client/";
const folder = new TemporaryFolder("browser");
let servers: Servers;
let browser: Browser;
beforeAll(async () => {
  if (CHROMIUM === null) return;
  [servers, browser] = await Promise.all([
    Servers.start(),
    chromium.launch({
      executablePath: CHROMIUM,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        // The page is the test's, so the browser does not know that it comes from this machine.
        "--disable-features=LocalNetworkAccessChecks",
      ],
    }),
    buildPackage(folder.root, ["conformance.ts"]),
  ]);
}, TEST_MS);
afterAll(async () => {
  if (CHROMIUM === null) return;
  await browser.close();
  await servers.remove();
  folder.remove();
});

/** A page of this server that may load the package. */
async function pageOf(world: World, server: string): Promise<Page> {
  const context = await browser.newContext();
  await context.route(`**${PATH}*`, (route) => {
    const name = new URL(route.request().url()).pathname.slice(PATH.length);
    // The server's own pages do not allow scripts of others.
    if (name === "") return route.fulfill({ body: "<title>test</title>", contentType: "text/html" });
    return route.fulfill({ path: join(folder.root, name), contentType: "text/javascript" });
  });
  const page = await context.newPage();
  let restarting = Promise.resolve();
  await page.exposeFunction("askForRestart", () => {
    restarting = servers.restart();
  });
  await page.exposeFunction("isRestarted", () => restarting);
  await page.goto(`${world.servers[server]?.http}${PATH}`);
  return page;
}

/** Runs in the page. */
async function runThere({ path, file, world }: { path: string; file: Conformance; world: World }) {
  const { runConformance } = await import(path);
  const ask: () => void = Reflect.get(globalThis, "askForRestart");
  const done: () => Promise<void> = Reflect.get(globalThis, "isRestarted");
  return await runConformance(file, world, { ask, done });
}

for (const server of ["open", "guarded", "killed"]) {
  test.skipIf(CHROMIUM === null)(`a page of the server "${server}" conforms${SKIPPED}`, async () => {
    const everywhere = await servers.world(`chromium-${server}`, "websocket");
    const world: World = {
      ...everywhere,
      servers: { [server]: everywhere.servers[server] ?? { tcp: "", http: "" } },
    };
    const file: Conformance = await Bun.file(CONFORMANCE).json();
    const page = await pageOf(world, server);
    const found = await page.evaluate(runThere, { path: `${PATH}conformance.js`, file, world });
    expect(found).toEqual(await expected(world));
    await page.context().close();
  }, TEST_MS);
}

test("what a browser loads needs nothing of Node", async () => {
  const built = new TemporaryFolder("bundle");
  try {
    await buildPackage(built.root);
    const glob = new Bun.Glob("*.js");
    const texts: string[] = [];
    const open = [built.path("esc.js")];
    for (let at = 0; at < open.length; at++) {
      const text = await Bun.file(open[at] ?? "").text();
      texts.push(text);
      for (const [, name = ""] of text.matchAll(/from "\.\/([^"]+)"/g)) open.push(built.path(name));
    }
    expect([...glob.scanSync(built.root)]).toContain("tcp.js");
    expect(texts.join("").match(/\brequire\(|["']node:|\bprocess\./g)).toBeNull();
  } finally {
    built.remove();
  }
}, TEST_MS);
