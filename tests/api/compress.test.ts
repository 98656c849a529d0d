/** Compressed answers and compressed bodies, over real sockets: what is on the wire, not what a client makes of it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect } from "node:net";
import { createDeflateRaw, createGunzip, gunzipSync, gzipSync } from "node:zlib";
import { type ApiRig, startApi } from "./rig.ts";

let api: ApiRig;
beforeAll(async () => {
  api = await startApi("grpc: { enable: false }");
});
afterAll(() => api.stop());

const post = (path: string, body: Uint8Array, headers: Record<string, string> = {}) =>
  api.fetch(path, { method: "POST", body: new Uint8Array(body), headers });

/** The answer's headers and its body as it comes. */
async function raw(path: string, headers: Record<string, string>): Promise<[Headers, Uint8Array]> {
  const response = await fetch(`${api.url}${path}`, { headers, decompress: false });
  return [response.headers, await response.bytes()];
}

test("JSON and metrics above 1 KiB are gzip for who takes it, and plain for who does not", async () => {
  for (const path of ["/openapi.json", "/metrics"]) {
    const [plainHeaders, plain] = await raw(path, { "accept-encoding": "identity" });
    expect(plainHeaders.get("content-encoding")).toBeNull();
    for (const accepted of ["gzip", "deflate, gzip;q=1.0, br", "GZIP"]) {
      const [headers, packed] = await raw(path, { "accept-encoding": accepted });
      expect([path, headers.get("content-encoding"), headers.get("vary")])
        .toEqual([path, "gzip", "accept-encoding"]);
      expect(headers.get("content-length")).toBe(String(packed.length));
      expect(packed.length).toBeLessThan(plain.length / 2);
      const start = Buffer.from(plain).toString("utf8", 0, 100);
      expect(gunzipSync(packed).toString("utf8", 0, 100).slice(0, 20)).toBe(start.slice(0, 20));
    }
    const [refused] = await raw(path, { "accept-encoding": "gzip;q=0, identity" });
    expect(refused.get("content-encoding")).toBeNull();
  }
  const [small, body] = await raw("/healthz", { "accept-encoding": "gzip" });
  expect([small.get("content-encoding"), JSON.parse(Buffer.from(body).toString()).status])
    .toEqual([null, "ok"]);
  const head = await api.fetch("/metrics", { method: "HEAD", headers: { "accept-encoding": "gzip" } });
  expect([head.status, head.headers.get("content-encoding")]).toEqual([200, null]);
});

test("curl --compressed understands large answers", async () => {
  const curl = Bun.which("curl");
  if (curl === null) return void console.log("skipped: curl is not installed");
  const run = async (...args: string[]): Promise<unknown> => {
    const child = Bun.spawn([curl, "-s", ...args, `${api.url}/openapi.json`], { stdout: "pipe" });
    return JSON.parse(await new Response(child.stdout).text());
  };
  expect(await run("--compressed")).toEqual(await run());
});

test("a compressed stream of events brings each event when it comes", async () => {
  const response = await fetch(`${api.url}/api/v1/subscribe?topics=packed.>`, {
    headers: { "accept-encoding": "gzip" },
    decompress: false,
  });
  expect(response.headers.get("content-encoding")).toBe("gzip");
  const unpacker = createGunzip();
  let text = "";
  let look = () => {};
  unpacker.on("data", (bytes: Buffer) => {
    text += bytes.toString();
    look();
  });
  const reader = response.body?.getReader();
  const pump = (async () => {
    for (;;) {
      const { value, done } = await reader?.read() ?? { value: undefined, done: true };
      if (done) return;
      unpacker.write(value);
    }
  })();
  const until = async (wanted: string) => {
    while (!text.includes(wanted)) await new Promise<void>((resolve) => look = resolve);
  };
  await until("retry: 1000");
  // The next is sent only when the one before has come out: nothing waits for a full buffer.
  for (let number = 0; number < 5; number++) {
    await post("/api/v1/publish/packed.a", Buffer.from(`payload ${number}`));
    await until(`payload ${number}`);
  }
  await reader?.cancel();
  await pump;
});

test("a gzip body is published as what it was", async () => {
  const one = await post("/api/v1/publish/zip.one", gzipSync("hello"), { "content-encoding": "gzip" });
  expect(one.status).toBe(200);
  const lines = Array.from(
    { length: 500 },
    (_, index) => JSON.stringify({ topic: "zip.many", payload: index }),
  );
  const many = await post("/api/v1/publish", gzipSync(lines.join("\n")), {
    "content-encoding": "gzip",
    "content-type": "application/x-ndjson",
  });
  expect((await many.json()).published).toBe(500);
  const { events } = await (await api.fetch("/api/v1/events?topic=zip.one")).json();
  expect(events.map(({ payload }: { payload: string }) => payload)).toEqual(["hello"]);
});

test("a small body that unpacks to a huge one is refused at the limit", async () => {
  const bomb = gzipSync(new Uint8Array(256 * 1024 * 1024), { level: 9 });
  expect(bomb.length).toBeLessThan(300_000);
  const headers = { "content-encoding": "gzip" };
  expect((await post("/api/v1/publish/zip.bomb", bomb, headers)).status).toBe(413);
  const json = { ...headers, "content-type": "application/json" };
  expect((await post("/api/v1/publish", bomb, json)).status).toBe(413);
  // NDJSON has no end, but its lines have one.
  const lines = await post("/api/v1/publish", bomb, { ...headers, "content-type": "application/x-ndjson" });
  expect([lines.status, (await lines.json()).detail]).toEqual([400, "Line is too long"]);
});

test("a body that is not what Content-Encoding says is refused", async () => {
  const cases = [
    [Buffer.from("plain"), "gzip", 400],
    [gzipSync("x".repeat(10_000)).subarray(0, 30), "gzip", 400],
    [Buffer.from("plain"), "zstd", 415],
    [Buffer.from("plain"), "identity", 200],
  ] as const;
  for (const [body, encoding, status] of cases) {
    const response = await post("/api/v1/publish/zip.bad", body, { "content-encoding": encoding });
    expect([encoding, response.status]).toEqual([encoding, status]);
  }
});

test("WebSockets: text is compressed where that is configured and asked for, and a bomb is not unpacked", async () => {
  const zipped = await startApi("grpc: { enable: false }", { compressesWebSockets: true });
  try {
    const plain = await upgrade(api.http.port);
    expect(plain.head).not.toMatch(/permessage-deflate/i);
    plain.end();
    const socket = await upgrade(zipped.http.port);
    expect(socket.head).toMatch(/Sec-WebSocket-Extensions: permessage-deflate/i);
    await zipped.fetch("/api/v1/publish/ws.zip", { method: "POST", body: "a".repeat(5000) });
    await socket.until((bytes) => bytes.length > 60);
    // RSV1 says that a message is compressed.
    expect((socket.bytes()[0] as number) & 0x40).toBe(0x40);
    const pieces: Buffer[] = [];
    const packer = createDeflateRaw();
    packer.on("data", (bytes: Buffer) => pieces.push(bytes));
    for (let index = 0; index < 64; index++) packer.write(Buffer.alloc(1 << 20, "a"));
    await new Promise<void>((resolve) => packer.end(resolve));
    socket.sendPacked(Buffer.concat(pieces));
    await socket.closed;
    expect((await zipped.fetch("/healthz")).status).toBe(200);
  } finally {
    await zipped.stop();
  }
});

/** A WebSocket that subscribes to everything and asks for compression, by hand. */
async function upgrade(port: number) {
  const socket = connect(port, "127.0.0.1");
  let received = Buffer.alloc(0);
  let look = () => {};
  socket.on("data", (bytes) => {
    received = Buffer.concat([received, Buffer.from(bytes)]);
    look();
  });
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const until = async (isThere: (bytes: Buffer) => boolean) => {
    while (!isThere(received)) await new Promise<void>((resolve) => look = resolve);
  };
  socket.write(
    "GET /api/v1/subscribe?topics=%3E HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n\r\n",
  );
  await until((bytes) => bytes.includes("\r\n\r\n"));
  const end = received.indexOf("\r\n\r\n") + 4;
  return {
    head: received.toString("latin1", 0, end),
    bytes: () => received.subarray(end),
    until: (isThere: (bytes: Buffer) => boolean) => until((bytes) => isThere(bytes.subarray(end))),
    closed,
    end: () => socket.destroy(),
    /** One compressed text message, masked with zeros. */
    sendPacked: (payload: Buffer) => {
      const head = Buffer.alloc(14);
      head[0] = 0xc1;
      head[1] = 0xff;
      head.writeBigUInt64BE(BigInt(payload.length), 2);
      socket.write(Buffer.concat([head, payload]));
    },
  };
}
