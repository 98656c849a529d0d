/**
 * Drill: what the others notice of one subscriber that takes 1 % of what comes. `bun tests/e2e/slow-subscribers.ts
 * [--seconds N] [--subscribers N] [--rate N] [--rounds N] [--kind tcp|http|ws]
 * [--judge-times]`; by TCP, server-sent events and WebSocket, through the executable.
 *
 * Each round measures without it and with it, in turns, and compares the medians of the p99s: a machine has moods.
 * Ends with 1 when the slow one is not named, the server's memory grows with what it does not read, or (with
 * --judge-times) the others' p99 is above 1.2 times what it was.
 */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { parseArgs } from "node:util";
import { Client } from "../../src/client/client.ts";
import { dialTcp } from "../../src/client/tcp.ts";
import { EscServer } from "../support/esc.ts";
import { control } from "./wire.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "20" },
    subscribers: { type: "string", default: "50" },
    rate: { type: "string", default: "2000" },
    rounds: { type: "string", default: "3" },
    kind: { type: "string" },
    "judge-times": { type: "boolean", default: false },
  },
});
const phaseMs = Number(values.seconds) * 1_000;
const subscriberCount = Number(values.subscribers);
const RATE = Number(values.rate);
const TICK_MS = 10;
const SLOW_SHARE = 0.01;
const RATIO_MAX = 1.2;
/** What the sockets of one connection and its buffers may hold, and what a heap breathes. */
const GROWTH_BYTES_MAX = 64 * 1024 * 1024;
/** Repetitions of "without, with". */
const TURNS = Number(values.rounds);
const SUBSCRIBE = 5;
const FILLING = "x".repeat(900);
/** A time stamp as it stands in payloads; it is the same in frames, in JSON, and in unmasked messages. */
const STAMP = /t=(\d{13}\.\d{3});/g;
const STAMP_CHARACTERS = 20;

const KINDS = ["tcp", "http", "ws"] as const;
type Kind = (typeof KINDS)[number];
const UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const server = await EscServer.start();
const nowMs = () => performance.timeOrigin + performance.now();
const residentBytes = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1]) * 1024;

/** A subscriber by hand, so that it can be slow. */
async function open(kind: Kind, topic: string): Promise<Socket> {
  const socket = connect(kind === "tcp" ? server.tcpPort : server.httpPort, "127.0.0.1");
  socket.on("error", () => {});
  if (kind === "tcp") {
    socket.write(control(1, { acks: "none" }));
    socket.write(control(SUBSCRIBE, { id: "s", topics: [topic], from: "latest" }));
  } else {
    const more = kind === "ws" ? UPGRADE : "Accept: text/event-stream\r\n";
    socket.write(
      `GET /api/v1/subscribe?topics=${topic}&from=latest HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`,
    );
  }
  await new Promise<void>((resolve) => socket.once("data", () => resolve()));
  return socket;
}

/** Notes how old each event is when it comes. */
function measureAt(socket: Socket, ages: number[]): void {
  let tail = "";
  socket.on("data", (bytes) => {
    const at = nowMs();
    const text = tail + Buffer.from(bytes).toString("latin1");
    let end = 0;
    for (const match of text.matchAll(STAMP)) {
      ages.push(at - Number(match[1]));
      end = match.index + match[0].length;
    }
    tail = text.slice(Math.max(end, text.length - STAMP_CHARACTERS));
  });
}

/** Takes SLOW_SHARE of what comes: a piece now and then. */
function crawl(socket: Socket): () => void {
  const startMs = performance.now();
  const bytesPerMs = RATE * FILLING.length * SLOW_SHARE / 1000;
  let taken = 0;
  socket.on("data", (bytes) => {
    taken += bytes.length;
    socket.pause();
  });
  socket.pause();
  const timer = setInterval(() => {
    if (taken < (performance.now() - startMs) * bytesPerMs) socket.resume();
  }, 100);
  return () => {
    clearInterval(timer);
    socket.destroy();
  };
}

const publisher = await Client.connect({
  dial: dialTcp({ host: "127.0.0.1", port: server.tcpPort }),
  acks: "none",
});

/** Publishes at RATE for a phase. */
async function publish(topic: string): Promise<void> {
  const startMs = performance.now();
  let sent = 0;
  while (performance.now() - startMs < phaseMs) {
    const due = Math.floor((performance.now() - startMs) * RATE / 1000);
    for (; sent < due; sent++) {
      publisher.publisher.publish({ topic, payload: `t=${nowMs().toFixed(3)};${FILLING}`, priority: 3 });
    }
    publisher.publisher.flush();
    await Bun.sleep(TICK_MS);
  }
}

const p99 = (ages: number[]) => ages.toSorted((a, b) => a - b)[Math.floor(ages.length * 0.99)] ?? NaN;
const median = (list: number[]) => list.toSorted((a, b) => a - b)[list.length >> 1] ?? NaN;

let failures = 0;
for (const kind of KINDS.filter((kind) => values.kind === undefined || kind === values.kind)) {
  const topic = `crawl.${kind}`;
  const ages: number[] = [];
  const quick = await Promise.all(Array.from({ length: subscriberCount - 1 }, () => open(kind, topic)));
  for (const socket of quick) measureAt(socket, ages);
  const phase = async (): Promise<number> => {
    ages.length = 0;
    await publish(topic);
    return p99(ages);
  };
  // Everything has been touched once before anything is measured.
  await phase();
  const without: number[] = [];
  const besides: number[] = [];
  let grown = 0;
  let named = 0;
  for (let turn = 0; turn < TURNS; turn++) {
    without.push(await phase());
    const slow = await open(kind, topic);
    const name = `127\\.0\\.0\\.1:${slow.localPort}`;
    const stop = crawl(slow);
    const before = residentBytes();
    besides.push(await phase());
    grown = Math.max(grown, residentBytes() - before);
    if (new RegExp(`Subscriber ${name}\\b.* falls behind`).test(server.log)) named++;
    stop();
  }
  for (const socket of quick) socket.destroy();
  const ratio = median(besides) / median(without);
  const isOk = named === TURNS && grown < GROWTH_BYTES_MAX && (!values["judge-times"] || ratio <= RATIO_MAX);
  if (!isOk) failures++;
  console.log(
    `${kind.padEnd(5)} p99 of ${quick.length}: ${without.map((ms) => ms.toFixed(2)).join(" ")} ms alone, ` +
      `${besides.map((ms) => ms.toFixed(2)).join(" ")} ms beside a slow one, ratio ${ratio.toFixed(2)}; ` +
      `memory +${(grown / 2 ** 20).toFixed(0)} MiB; named ${named} of ${TURNS}${isOk ? "" : "  FAILED"}`,
  );
}
publisher.abort();
await server.remove();
console.log(
  failures === 0 ? "nobody noticed the slow ones, and all were named" : `${failures} listeners failed`,
);
process.exit(failures === 0 ? 0 : 1);
