import { afterAll, beforeAll, expect, test } from "bun:test";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { EscServer } from "../support/esc.ts";

const FILES = ["/", "/dashboard/main.js", "/dashboard/main.css", "/dashboard/icon.svg"];
/** Of everything that a browser loads, compressed. */
const PAGE_BYTES_MAX = 300 * 1024;

let server: EscServer;
beforeAll(async () => {
  server = await EscServer.start();
}, 60_000);
afterAll(() => server.remove());

function ask(path: string, headers: Record<string, string>): Promise<Response> {
  return fetch(server.url(path), { headers, decompress: false });
}

test("the page is small, the same in every encoding, and asked for again only when it has changed", async () => {
  let pageBytes = 0;
  for (const path of FILES) {
    const plain = await (await ask(path, { "accept-encoding": "identity" })).bytes();
    const gzip = await ask(path, { "accept-encoding": "gzip, deflate" });
    const brotli = await ask(path, { "accept-encoding": "gzip, br;q=1.0" });
    expect([gzip.headers.get("content-encoding"), brotli.headers.get("content-encoding")]).toEqual([
      "gzip",
      "br",
    ]);
    const packed = { gzip: await gzip.bytes(), brotli: await brotli.bytes() };
    expect(gunzipSync(packed.gzip).equals(plain)).toBe(true);
    expect(brotliDecompressSync(packed.brotli).equals(plain)).toBe(true);
    pageBytes += packed.gzip.length;
    const etag = gzip.headers.get("etag") ?? "";
    const again = await ask(path, { "accept-encoding": "gzip", "if-none-match": etag });
    expect([again.status, (await again.bytes()).length]).toEqual([304, 0]);
    const refused = await ask(path, { "accept-encoding": "br;q=0, gzip;q=0" });
    expect(refused.headers.get("content-encoding")).toBeNull();
  }
  expect(pageBytes).toBeLessThan(PAGE_BYTES_MAX);
});

test("there is nothing under /dashboard but its files", async () => {
  for (const name of ["page.htm", "../esc", "__proto__", "constructor", "main.js/x", "%2e%2e/esc"]) {
    const response = await fetch(server.url(`/dashboard/${name}`));
    expect([name, response.status]).toEqual([name, 404]);
  }
  const response = await fetch(server.url("/"), { method: "POST" });
  expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
});
