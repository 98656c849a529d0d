/** Every limit of one client: what it is told, and which counter says so. Through the executable. */
import { afterEach, expect, test } from "bun:test";
import { newToken, tokenHash } from "../../src/auth/token.ts";
import { type ConfigTree, EscServer } from "../support/esc.ts";
import { control, event, frame, Wire } from "./wire.ts";

const HELLO = 1, WELCOME = 2, ERROR = 4, SUBSCRIBE = 5, PING = 8, PONG = 9;
let server: EscServer;
afterEach(() => server.remove());

async function start(config: ConfigTree): Promise<void> {
  server = await EscServer.start({ config });
}

/** Value of a sample of `/metrics`. */
async function metric(sample: string, token?: string): Promise<number> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const text = await (await fetch(server.url("/metrics"), { headers })).text();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${sample} `));
  return Number(line?.slice(sample.length + 1) ?? NaN);
}
const limited = (limit: string, token?: string) => metric(`esc_limited_total{limit="${limit}"}`, token);

async function hello(): Promise<Wire> {
  const wire = await Wire.connect(server.tcpPort);
  wire.send(control(HELLO, { acks: "accepted" }));
  await wire.until(() => wire.controls(WELCOME).length + wire.controls(ERROR).length > 0);
  return wire;
}

/** Connects, and returns what the server says against it. */
async function refusal(): Promise<unknown> {
  const wire = await Wire.connect(server.tcpPort);
  await wire.until(() => wire.hasEnded);
  return wire.json(ERROR)[0];
}

test("connections in all", async () => {
  await start({ ingestion: { tcp: { maxConnections: 2 } } });
  const open = [await hello(), await hello()];
  expect(await refusal()).toEqual({
    code: "TOO_MANY_CONNECTIONS",
    message: "The limit of 2 connections is reached",
  });
  expect([await limited("connections"), await metric("esc_connections_refused_total")]).toEqual([1, 1]);
  open[0]?.close();
  while (await metric('esc_connections{listener="tcp"}') > 1) await Bun.sleep(5);
  const again = await hello();
  expect(again.controls(WELCOME).length).toBe(1);
});

test("connections of one address: TCP, and streams and WebSockets", async () => {
  await start({ limits: { connections_per_address: 2 } });
  await hello();
  await hello();
  expect(await refusal()).toEqual({
    code: "TOO_MANY_CONNECTIONS",
    message: "The limit of 2 connections from one address is reached",
  });
  expect(await limited("connections_per_address")).toBe(1);

  const gone = new AbortController();
  const subscribe = (signal?: AbortSignal) =>
    fetch(server.url("/api/v1/subscribe"), signal === undefined ? {} : { signal });
  expect((await subscribe(gone.signal)).status).toBe(200);
  const socket = new WebSocket(`ws://${server.addresses.http}/api/v1/subscribe`);
  await new Promise((resolve) => socket.onopen = resolve);
  const refused = await subscribe();
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
  expect(await refused.json()).toMatchObject({
    code: "TOO_MANY_CONNECTIONS",
    detail: "The limit of 2 streams from one address is reached",
  });
  expect(await limited("connections_per_address")).toBe(2);
  // Whoever goes makes room; a HEAD, which nobody reads, takes none.
  gone.abort();
  for (let tries = 0; tries < 3; tries++) {
    for (;;) {
      const { status } = await fetch(server.url("/api/v1/subscribe"), { method: "HEAD" });
      if (status === 200) break;
      await Bun.sleep(5);
    }
  }
  const last = new AbortController();
  expect((await subscribe(last.signal)).status).toBe(200);
  last.abort();
  socket.close();
});

test("new connections a second of one address", async () => {
  await start({ limits: { connects_per_second: 3 } });
  const outcomes = await Promise.all(
    Array.from({ length: 30 }, async () => {
      const wire = await hello();
      const [error] = wire.json(ERROR);
      wire.close();
      return error?.["message"] ?? "welcome";
    }),
  );
  expect(outcomes).toContain("welcome");
  expect(outcomes).toContain("More than 3 new connections a second from one address");
  expect(await limited("connects_per_second")).toBe(
    outcomes.filter((outcome) => outcome !== "welcome").length,
  );
});

test("events and bytes a second of one identity: TCP is read more slowly, HTTP hears 429", async () => {
  const token = newToken();
  await start({
    limits: { events_per_second: 200, bytes_per_second: "100KiB" },
    auth: {
      enabled: true,
      tokens: [
        { name: "shop", sha256: tokenHash(token), publish: [">"], read: [">"] },
        { name: "other", sha256: tokenHash(`${token}x`), publish: [">"], read: [">"] },
      ],
    },
  });
  const post = (bearer: string, body: string, path = "/api/v1/publish/a.b") =>
    fetch(server.url(path), { method: "POST", body, headers: { authorization: `Bearer ${bearer}` } });
  const list = JSON.stringify(Array.from({ length: 900 }, () => ({ topic: "a.b", payload: "x" })));
  // A batch is never cut; what it costs is owed.
  expect((await post(token, list, "/api/v1/publish")).status).toBe(200);
  const refused = await post(token, "x");
  const retryAfter = Number(refused.headers.get("retry-after"));
  expect(refused.status).toBe(429);
  expect(retryAfter).toBeGreaterThanOrEqual(1);
  expect(await refused.json()).toMatchObject({
    code: "RATE_LIMITED",
    detail: "More than the caller may send now",
  });
  expect(await limited("rate", token)).toBe(1);
  expect(await metric('esc_events_rejected_total{reason="rate_limited"}', token)).toBe(1);
  // One identity's limit is nobody else's.
  expect((await post(`${token}x`, "x".repeat(600_000))).status).toBe(200);
  expect((await post(`${token}x`, "x")).status).toBe(429);

  // The same identity by TCP: its events wait, and none is lost.
  const wire = await Wire.connect(server.tcpPort);
  wire.send(control(HELLO, { acks: "accepted", token }));
  await wire.until(() => wire.controls(WELCOME).length > 0);
  wire.send(event("a.b", "x"), event("a.b", "x"), event("a.b", "x"));
  await wire.until(() => wire.acknowledged === 3);
  expect(wire.acknowledged).toBe(3);
  expect(await limited("rate", token)).toBeGreaterThanOrEqual(3);
  wire.close();
}, 30_000);

test("bytes of a frame", async () => {
  await start({ ingestion: { max_frame_bytes: 2048 } });
  const wire = await hello();
  wire.send(event("a", "x".repeat(2044)));
  await wire.until(() => wire.acknowledged === 1);
  wire.send(event("a", "x".repeat(2045)));
  await wire.until(() => wire.hasEnded);
  expect(wire.json(ERROR)).toMatchObject([{ code: "BAD_LENGTH", seq: 2 }]);
  expect(await metric('esc_events_rejected_total{reason="bad_length"}')).toBe(1);
});

test("time to say who one is", async () => {
  const auth = { enabled: true, tokens: [{ name: "a", sha256: tokenHash("t".repeat(32)), read: [">"] }] };
  await start({ auth, limits: { login_timeout: "200ms" } });
  const wire = await Wire.connect(server.tcpPort);
  await wire.until(() => wire.hasEnded);
  expect(wire.json(ERROR)).toEqual([{
    code: "TIMEOUT",
    message: "Nobody said HELLO with a token in time",
  }]);
  expect(await limited("login_timeout", "t".repeat(32))).toBe(1);
});

test("answers that a client leaves unread", async () => {
  await start({ limits: { subscriber_buffer: "64KiB" }, ingestion: { tcp: { idle_timeout: "1h" } } });
  const wire = await hello();
  wire.pause();
  // Each is answered; the kernel's buffers hold some megabytes of answers, then it is our turn to.
  const bad = frame([9, 0, 1], "a", "x");
  const many = Buffer.concat(Array.from({ length: 2_000 }, () => bad));
  while (!wire.hasEnded && await limited("subscriber_buffer") === 0) {
    wire.send(many);
    await Bun.sleep(1);
  }
  expect(await limited("subscriber_buffer")).toBe(1);
  expect((await fetch(server.url("/readyz"))).status).toBe(200);
}, 30_000);

test("bytes and depth of a body, and of the headers", async () => {
  await start({ http: { max_body_bytes: "64KiB" } });
  const post = (body: string) =>
    fetch(server.url("/api/v1/publish"), {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
  const long = await post(`[{"topic":"a","payload":"${"x".repeat(64 * 1024)}"}]`);
  expect([long.status, await limited("body_bytes")]).toEqual([413, 1]);
  expect(await long.json()).toMatchObject({ detail: "Body is longer than 65536 bytes" });
  const deep = await post(`[{"topic":"a","payload":${"[".repeat(63)}${"]".repeat(63)}}]`);
  expect([deep.status, await limited("json_depth")]).toEqual([400, 1]);
  expect(await deep.json()).toMatchObject({ detail: "JSON is nested deeper than 64" });
  expect((await post(`[{"topic":"a","payload":${"[".repeat(62)}${"]".repeat(62)}}]`)).status).toBe(200);
  const { status } = await fetch(server.url("/healthz"), { headers: { "x-long": "x".repeat(20_000) } });
  expect(status).toBe(431);
});

test("a subscription that is not confirmed stops at max_in_flight", async () => {
  await start({});
  const wire = await hello();
  wire.send(
    ...Array.from({ length: 10 }, () => event("a.b", "x")),
    control(SUBSCRIBE, { id: "s", topics: [">"], from: "earliest", max_in_flight: 3 }),
  );
  await wire.until(() => wire.controls(6).length > 0 && wire.acknowledged === 10);
  wire.send(control(PING, {}));
  await wire.until(() => wire.controls(PONG).length > 0);
  const delivered = wire.controls(6).reduce(
    (sum, batch) => sum + batch.toString("latin1").split("a.b").length - 1,
    0,
  );
  expect(delivered).toBe(3);
  wire.close();
});
