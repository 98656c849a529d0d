/**
 * A relay in Node: takes market data from esc once and gives it to any number of browsers, beside the page they show.
 *
 *     esc ──one WebSocket──▶ relay ──WebSocket /feed──▶ browsers          GET / … the page's files
 *
 * Browsers speak to the relay as they would to esc's own WebSocket, so the same client library serves both. Who comes
 * late gets each book whole first. A browser that reads too slowly is disconnected: it comes back by itself.
 *
 *     bun build examples/market-relay/relay.ts --target node --outfile relay.mjs
 *     node relay.mjs --esc ws://127.0.0.1:8080/api/v1/subscribe --page dist/page --port 8090
 */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { parseArgs } from "node:util";
import { WebSocket as NodeWebSocket, WebSocketServer } from "ws";
import { LiveBook } from "../../src/client/market/live-book.ts";
import type { MarketEvent } from "../../src/client/market/market-source.ts";
import { createStreamingInfrastructure } from "../../src/client/market/streaming.ts";

const BUFFER_BYTES_MAX = 4 * 1024 * 1024;
const LEVELS = 100;
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
};

const { values } = parseArgs({
  options: {
    esc: { type: "string", default: "ws://127.0.0.1:8080/api/v1/subscribe" },
    token: { type: "string" },
    port: { type: "string", default: "8090" },
    page: { type: "string" },
    /** Where in esc's log to begin. */
    from: { type: "string", default: "latest" },
  },
});

// Node has a WebSocket of its own from version 22 on.
Object.assign(globalThis, { WebSocket: globalThis.WebSocket ?? NodeWebSocket });

/** What each browser wants. */
const wanted = new Map<NodeWebSocket, RegExp>();
const books = new Map<string, LiveBook>();

const http = createServer((request, response) => {
  void answerFile(request.url ?? "/").then(({ status, type, body }) => {
    response.writeHead(status, { "content-type": type }).end(body);
  });
});
const sockets = new WebSocketServer({ server: http, path: "/feed" });
sockets.on("connection", (socket) => {
  socket.on("message", (message) => subscribe(socket, String(message)));
  socket.on("close", () => wanted.delete(socket));
});

const streaming = createStreamingInfrastructure({
  sources: [{
    id: "esc",
    url: values.esc,
    from: values.from === "earliest" ? "earliest" : "latest",
    ...(values.token === undefined ? {} : { apiKey: values.token }),
  }],
});
streaming.subscribe(pass);
for (const name of ["connection_failed", "connection_restored"] as const) {
  streaming.on(name, ({ message }) => console.error(`esc: ${message}`));
}
http.listen(Number(values.port), "127.0.0.1", () => {
  const address = http.address();
  console.log(`http://127.0.0.1:${typeof address === "object" ? address?.port : values.port}/`);
});
process.on("SIGTERM", () => {
  void streaming.destroy().then(() => process.exit(0));
});

/** Gives an event to every browser that wants it. */
function pass({ topic, data }: MarketEvent): void {
  if (data["kind"] === "book_snapshot" || data["kind"] === "book_delta") {
    const key = `market.${data["venue"]}.${data["symbol"]}`;
    const book = books.get(key) ?? new LiveBook(String(data["venue"]), String(data["symbol"]));
    books.set(key, book);
    book.take(data);
  }
  const text = eventText(topic, data);
  for (const [socket, topics] of wanted) {
    if (!topics.test(topic)) continue;
    if (socket.bufferedAmount > BUFFER_BYTES_MAX) socket.terminate();
    else socket.send(text);
  }
}

function subscribe(socket: NodeWebSocket, message: string): void {
  const request: { type?: unknown; id?: unknown; topics?: unknown } = JSON.parse(message);
  if (request.type !== "subscribe" || !Array.isArray(request.topics)) {
    return socket.send(JSON.stringify({ type: "error", message: "expected a subscription with topics" }));
  }
  const topics = new RegExp(`^(?:${request.topics.map(patternSource).join("|")})$`);
  wanted.set(socket, topics);
  socket.send(JSON.stringify({ type: "subscribed", id: request.id }));
  for (const [key, book] of books) {
    const topic = `${key}.book_snapshot`;
    if (!topics.test(topic)) continue;
    const { venue, symbol, bids, asks, lastId } = book.view(LEVELS);
    const received_us = Date.now() * 1000;
    const data = { kind: "book_snapshot", venue, symbol, received_us, bids, asks, last_id: lastId };
    socket.send(eventText(topic, data));
  }
}

/** `*` stands for one token of a topic, `>` for the rest. */
function patternSource(pattern: unknown): string {
  return String(pattern).replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll("\\*", "[^.]+").replace(
    />$/,
    ".+",
  );
}

function eventText(topic: string, data: object): string {
  return JSON.stringify({ type: "event", topic, payload: JSON.stringify(data) });
}

async function answerFile(url: string): Promise<{ status: number; type: string; body: Uint8Array | string }> {
  const path = normalize(new URL(url, "http://relay").pathname);
  const file = join(values.page ?? ".", path === "/" ? "index.html" : path);
  try {
    if (values.page === undefined) throw new Error("The relay was started without --page");
    return {
      status: 200,
      type: TYPES[extname(file)] ?? "application/octet-stream",
      body: await readFile(file),
    };
  } catch {
    return { status: 404, type: "text/plain", body: "not found\n" };
  }
}
