import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { EscServer, runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { makeTokens, type ShownToken, type TokenSet } from "./security-tokens.ts";
import { control, event, Wire } from "./wire.ts";

const HELLO = 1, WELCOME = 2, ERROR = 4, SUBSCRIBE = 5, PING = 8, PONG = 9;
const tokens: TokenSet = await makeTokens();
let server: EscServer;

beforeAll(async () => {
  const folder = new TemporaryFolder("security");
  writeFileSync(folder.path("keys.json"), tokens.keySet);
  server = await EscServer.start({ folder, config: { auth: tokens.auth("keys.json") } });
});
afterAll(() => server.remove());

function bearer(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

function ask(path: string, token: string | undefined, init: RequestInit = {}): Promise<Response> {
  return fetch(server.url(path), { ...init, headers: { ...bearer(token), ...init.headers } });
}

/** Says HELLO on a new TCP connection. */
async function hello(token: string | undefined, acks = "accepted"): Promise<Wire> {
  const wire = await Wire.connect(server.tcpPort);
  wire.send(control(HELLO, { acks, ...(token === undefined ? {} : { token }) }));
  await wire.until(() => wire.controls(WELCOME).length + wire.controls(ERROR).length > 0);
  return wire;
}

/** What a listener makes of a token, in one word. Each tries something with a topic that `orders` covers. */
const LISTENERS: Readonly<Record<string, (token: string | undefined) => Promise<string>>> = {
  async "HTTP query"(token) {
    return String((await ask("/api/v1/events?topic=orders.new", token)).status);
  },
  async "HTTP publish"(token) {
    return String((await ask("/api/v1/publish/orders.new", token, { method: "POST", body: "x" })).status);
  },
  async "server-sent events"(token) {
    const gone = new AbortController();
    const response = await ask("/api/v1/subscribe?topics=orders.>", token, { signal: gone.signal });
    gone.abort();
    return String(response.status);
  },
  async "WebSocket, token in the query"(token) {
    const query = token === undefined ? "" : `?access_token=${encodeURIComponent(token)}`;
    const socket = new WebSocket(`ws://${server.addresses.http}/api/v1/subscribe${query}`);
    const said = Promise.withResolvers<string>();
    socket.onopen = () => socket.send(JSON.stringify({ type: "subscribe", id: "s", topics: ["orders.>"] }));
    socket.onmessage = ({ data }) => said.resolve(JSON.parse(data).type === "subscribed" ? "200" : "403");
    socket.onclose = () => said.resolve("401");
    const answer = await said.promise;
    socket.close();
    return answer;
  },
  async "TCP"(token) {
    const wire = await hello(token);
    wire.send(event("orders.new", "x"), control(PING, {}));
    await wire.until(() => wire.controls(PONG).length + wire.controls(ERROR).length > 0);
    const [error] = wire.json(ERROR);
    const isWelcome = wire.controls(WELCOME).length > 0;
    wire.close();
    if (error === undefined) return "200";
    return error["code"] === "FORBIDDEN" && isWelcome ? "403" : "401";
  },
};
const STATUS = { orders: "200", powerless: "403", nobody: "401" } as const satisfies Record<
  ShownToken["worth"],
  string
>;

describe.each(Object.entries(LISTENERS))("%s", (_name, listener) => {
  test.each(tokens.shown.map((shown) => [shown.name, STATUS[shown.worth], shown] as const))(
    "%s: %s",
    async (_token, status, { token }) => {
      expect(await listener(token)).toBe(status);
    },
  );
});

test("a challenge says what is missing, and an error only of a token that was shown", async () => {
  const challenge = async (token: string | undefined, path: string) =>
    (await ask(path, token)).headers.get("www-authenticate");
  expect(await challenge(undefined, "/api/v1/topics")).toBe('Bearer realm="esc"');
  expect(await challenge("esc_x", "/api/v1/topics")).toBe('Bearer realm="esc", error="invalid_token"');
  expect(await challenge(tokens.good, "/api/v1/config")).toBe(
    'Bearer realm="esc", error="insufficient_scope"',
  );
});

const ADMIN = [
  "GET /api/v1/config",
  "GET /api/v1/consumers",
  "DELETE /api/v1/consumers?name=x",
  "GET /api/v1/dlq",
  "POST /api/v1/dlq/requeue",
  "DELETE /api/v1/dlq",
  "POST /api/v1/consumers/x/reset?to=latest",
  "POST /api/v1/control/log-level?level=info",
  "POST /api/v1/control/resume",
];

test.each(ADMIN)("%s is for administrators", async (route) => {
  const [method = "", path = ""] = route.split(" ");
  const statuses = await Promise.all(
    [undefined, tokens.good, tokens.everything, tokens.admin].map(async (token) =>
      (await ask(path, token, { method })).status
    ),
  );
  expect(statuses.slice(0, 3)).toEqual([401, 403, 403]);
  expect([200, 404]).toContain(statuses[3] ?? 0);
});

test("health and the description are for everybody; administrators read no events", async () => {
  const status = async (path: string, token?: string) => (await ask(path, token)).status;
  expect(await Promise.all(["/healthz", "/readyz", "/openapi.json"].map((path) => status(path))))
    .toEqual([200, 200, 200]);
  expect(await Promise.all(["/metrics", "/api/v1/stats", "/api/v1/ledger"].map((path) => status(path))))
    .toEqual([401, 401, 401]);
  for (const path of ["/metrics", "/api/v1/stats", "/api/v1/ledger"]) {
    expect([path, await status(path, tokens.good), await status(path, tokens.admin)]).toEqual([
      path,
      200,
      200,
    ]);
  }
  expect(await status("/api/v1/events", tokens.admin)).toBe(403);
});

test("every route of the description refuses those who show nothing, but for health and the dashboard's page", async () => {
  const document = await (await fetch(server.url("/openapi.json"))).json() as {
    paths: Record<string, Record<string, unknown>>;
  };
  const open: string[] = [];
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const method of Object.keys(methods)) {
      const url = server.url(path.replaceAll(/\{\w+\}/g, "x"));
      const { status } = await fetch(url, { method: method.toUpperCase() });
      if (status !== 401) open.push(`${method} ${path}: ${status}`);
    }
  }
  expect(open.sort()).toEqual([
    "get /: 200",
    "get /dashboard/{file}: 404",
    "get /healthz: 200",
    "get /openapi.json: 200",
    "get /readyz: 200",
  ]);
});

test.each(
  [
    ["/api/v1/events?topic=orders.new", 200],
    ["/api/v1/events?topic=orders.*,orders.a.b", 200],
    ["/api/v1/events?topic=orders.>", 200],
    ["/api/v1/events", 403],
    ["/api/v1/events?topic=orders/new", 403],
    ["/api/v1/events?topic=orders.>,audit.x", 403],
    ["/api/v1/events?topic=*.new", 403],
    ["/api/v1/events?lane=dlq&topic=>", 403],
    ["/api/v1/query/events?topic=orders.>", 403],
    ["/api/v1/market/feeds", 403],
  ] as const,
)("reading %s with permission for orders.>: %d", async (path, status) => {
  expect((await ask(path, tokens.good)).status).toBe(status);
});

test("a list of events keeps what may be published and names what may not", async () => {
  const list = ["orders.a", "audit.a", "orders.b", "orders"].map((topic) => ({ topic, payload: topic }));
  const response = await ask("/api/v1/publish", tokens.good, {
    method: "POST",
    body: JSON.stringify(list),
    headers: { "content-type": "application/json" },
  });
  const { published, results } = await response.json() as {
    published: number;
    results: { error?: { code: string } }[];
  };
  expect([published, results.map(({ error }) => error?.code)])
    .toEqual([2, [undefined, "FORBIDDEN", undefined, "FORBIDDEN"]]);
  const alone = await ask("/api/v1/publish/audit.a", tokens.good, { method: "POST", body: "x" });
  expect([alone.status, (await alone.json() as { code: string }).code]).toEqual([403, "FORBIDDEN"]);
});

test("on TCP each event of a forbidden topic is refused by number, and all others are accepted", async () => {
  const wire = await hello(tokens.good);
  const topics = ["orders.a", "audit.a", "orders.a", "audit.a", "audit.b", "orders.b"];
  wire.send(...topics.map((topic) => event(topic, "x")));
  await wire.until(() => wire.acknowledged === topics.length && wire.controls(ERROR).length === 3);
  expect(wire.json(ERROR)).toEqual(
    [2, 4, 5].map((seq) => ({ code: "FORBIDDEN", message: "Not allowed to publish to this topic", seq })),
  );
  wire.send(control(SUBSCRIBE, { id: "a", topics: ["orders.a", ">"], from: "latest" }), control(PING, {}));
  await wire.until(() => wire.controls(PONG).length > 0);
  expect(wire.json(ERROR).at(-1)).toEqual({
    code: "FORBIDDEN",
    message: 'Not allowed to subscribe to all of ">"',
  });
  wire.close();
});

test("a client of the original engine, which says nothing of itself, is refused with a reason", async () => {
  const before = await rejected("unauthorized");
  const wire = await Wire.connect(server.tcpPort);
  wire.send(event("orders.a", "x"), event("orders.a", "y"));
  await wire.until(() => wire.hasEnded);
  expect(wire.json(ERROR)).toMatchObject([{ code: "UNAUTHORIZED", seq: 1 }]);
  expect(await rejected("unauthorized")).toBe(before + 1);
});

async function rejected(reason: string): Promise<number> {
  const stats = await (await ask("/api/v1/stats", tokens.everything)).json() as {
    rejected: Record<string, number>;
  };
  return stats.rejected[reason] ?? 0;
}

test("datagrams are refused where no address is allowed", async () => {
  const before = await rejected("unauthorized");
  const socket = await Bun.udpSocket({});
  socket.send(event("orders.a", "x"), server.udpPort, "127.0.0.1");
  while (await rejected("unauthorized") === before) await Bun.sleep(5);
  socket.close();
  expect(await rejected("unauthorized")).toBe(before + 1);
});

test("a WebSocket may do what its token may: text and frames", async () => {
  const socket = new WebSocket(`ws://${server.addresses.http}/api/v1/subscribe?access_token=${tokens.good}`);
  socket.binaryType = "arraybuffer";
  // Acknowledgements are cumulative: there may be one, or one for each event.
  const said = new Set<string>();
  const waiting = Promise.withResolvers<void>();
  const send = (message: object) => socket.send(JSON.stringify(message));
  socket.onmessage = ({ data }) => {
    if (typeof data !== "string") {
      const body = Buffer.from(data).subarray(4);
      said.add(
        body[1] === ERROR ? `frame ${JSON.parse(body.subarray(2).toString()).code}` : `frame ${body[1]}`,
      );
    } else {
      const { type, code, ref, id } = JSON.parse(data);
      said.add([type, code, ref ?? id].filter(Boolean).join(" "));
    }
    if (said.size === 7) waiting.resolve();
  };
  socket.onclose = () => waiting.reject(new Error(`closed after ${[...said]}`));
  socket.onopen = () => {
    send({ type: "subscribe", id: "all", topics: [">"] });
    send({ type: "subscribe", id: "group", group: "g", topics: [">"] });
    send({ type: "publish", ref: "bad", topic: "audit.a", payload: "x" });
    send({ type: "publish", ref: "good", topic: "orders.a", payload: "x" });
    socket.send(new Uint8Array(control(HELLO, { acks: "accepted" })));
    socket.send(new Uint8Array(event("audit.a", "x")));
    socket.send(new Uint8Array(event("orders.a", "x")));
  };
  await waiting.promise;
  socket.onclose = null;
  socket.close();
  expect([...said].sort()).toEqual([
    "error FORBIDDEN all",
    "error FORBIDDEN bad",
    "error FORBIDDEN group",
    "frame 2",
    "frame 3",
    "frame FORBIDDEN",
    "published good",
  ]);
});

test("a token in the query opens WebSockets and nothing else", async () => {
  expect((await fetch(server.url(`/api/v1/stats?access_token=${tokens.good}`))).status).toBe(401);
});

test("what administrators do, and try, is in the log with their name and the result", async () => {
  await ask("/api/v1/control/log-level?level=info", tokens.admin, { method: "POST" });
  await ask("/api/v1/control/drain", tokens.good, { method: "POST" });
  await ask("/api/v1/control/pause", undefined, { method: "POST" });
  // Each on its own: other tests have tried the same.
  await server.logged(/"msg":"audit".*"ops".*log-level\?level=info/);
  await server.logged(/"msg":"audit".*"shop".*control\/drain/);
  await server.logged(/"msg":"audit".*"unknown".*control\/pause/);
  const audit = server.log.split("\n").filter((line) => line.includes('"audit"')).map((line) =>
    JSON.parse(line)
  );
  const entries = audit.map(({ who, action, status, address }) => [who, action, status, address].join(" "));
  expect(entries).toContain("ops POST /api/v1/control/log-level?level=info 200 127.0.0.1");
  expect(entries).toContain("shop POST /api/v1/control/drain 403 127.0.0.1");
  expect(entries).toContain("unknown POST /api/v1/control/pause 401 127.0.0.1");
  for (const token of [tokens.good, tokens.admin, tokens.everything]) expect(server.log).not.toContain(token);
});

test(
  "pausing, resuming and draining take effect and are in the log under the name of who did it",
  async () => {
    const folder = new TemporaryFolder("audit");
    writeFileSync(folder.path("keys.json"), tokens.keySet);
    const steered = await EscServer.start({ folder, config: { auth: tokens.auth("keys.json") } });
    try {
      const state = async () =>
        (await (await fetch(steered.url("/api/v1/stats"), { headers: bearer(tokens.everything) })).json())
          .pipeline.state;
      for (const [action, result] of [["pause", "PAUSED"], ["resume", "RUNNING"]] as const) {
        const url = steered.url(`/api/v1/control/${action}`);
        expect((await fetch(url, { method: "POST", headers: bearer(tokens.good) })).status).toBe(403);
        expect((await fetch(url, { method: "POST", headers: bearer(tokens.admin) })).status).toBe(200);
        expect(await state()).toBe(result);
      }
      const drain = await fetch(steered.url("/api/v1/control/drain"), {
        method: "POST",
        headers: bearer(tokens.admin),
      });
      expect(drain.status).toBe(200);
      expect(await steered.exited).toBe(0);
      const entries = steered.log.split("\n").filter((line) => line.includes('"msg":"audit"'))
        .map((line) => JSON.parse(line)).map(({ who, action, status }) => `${who} ${action} ${status}`);
      expect(entries).toEqual([
        "shop POST /api/v1/control/pause 403",
        "ops POST /api/v1/control/pause 200",
        "shop POST /api/v1/control/resume 403",
        "ops POST /api/v1/control/resume 200",
        "ops POST /api/v1/control/drain 200",
      ]);
    } finally {
      await steered.remove();
    }
  },
  30_000,
);

test("answers carry the headers that keep browsers careful", async () => {
  const { headers } = await fetch(server.url("/healthz"));
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect(headers.get("x-frame-options")).toBe("DENY");
  expect(headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(headers.get("referrer-policy")).toBe("no-referrer");
});

test("esc send, tail, topics and stress take a token from --token or ESC_TOKEN", async () => {
  const ports = ["--port", String(server.tcpPort)];
  const http = ["--http-port", String(server.httpPort)];
  const send = ["send", ...ports, "--topic", "orders.cli", "--payload", "x"];
  const refused = await runEsc(send);
  expect([refused.status, refused.stderr.includes("token")]).toEqual([1, true]);
  expect((await runEsc([...send, "--token", tokens.good])).status).toBe(0);
  expect((await runEsc(send, { env: { ESC_TOKEN: tokens.good } })).status).toBe(0);
  const env = { ESC_TOKEN: tokens.everything };
  const topics = await runEsc(["topics", "orders.cli", ...http, "--json"], { env });
  expect(JSON.parse(topics.stdout)).toMatchObject({ topic: "orders.cli", events: 2 });
  expect((await runEsc(["topics", ...http])).status).toBe(1);
  const tail = await runEsc(["tail", "orders.cli", ...ports, ...http, "--from", "earliest", "--until-end"], {
    env,
  });
  expect([tail.status, tail.stdout.split("orders.cli").length]).toEqual([0, 3]);
  const stress = ["stress", ...ports, ...http, "--clients", "2", "--events", "500", "--verify"];
  expect((await runEsc(stress, { env })).status).toBe(0);
  expect((await runEsc(stress)).status).toBe(1);
});

test("a reload revokes: connections, streams and sockets end, and the others go on", async () => {
  const kept = await hello(tokens.everything);
  const lost = await hello(tokens.good);
  const stream = await ask("/api/v1/subscribe?topics=orders.>", tokens.good);
  const socket = new WebSocket(`ws://${server.addresses.http}/api/v1/subscribe?access_token=${tokens.good}`);
  await new Promise((resolve) => socket.onopen = resolve);
  const closed = new Promise<CloseEvent>((resolve) => socket.onclose = resolve);

  const path = server.folder.path("config.yaml");
  const config = JSON.parse(readFileSync(path, "utf8"));
  config.auth.tokens = config.auth.tokens.filter(({ name }: { name: string }) => name !== "shop");
  writeFileSync(path, JSON.stringify(config));
  server.signal("SIGHUP");

  await lost.until(() => lost.hasEnded);
  expect(lost.json(ERROR)).toEqual([{ code: "UNAUTHORIZED", message: "Token is not known" }]);
  expect([(await closed).code, (await closed).reason]).toEqual([1008, "Token is not known"]);
  expect(await new Response(stream.body).text()).toContain("retry:");
  expect((await ask("/api/v1/topics", tokens.good)).status).toBe(401);
  kept.send(event("orders.kept", "x"));
  await kept.until(() => kept.acknowledged === 1);
  expect(kept.acknowledged).toBe(1);
  kept.close();
});
