/** The line with a clock, a random source and sockets under the test's control. */
import { expect, test } from "bun:test";
import { Line, type LineListener, type LineOptions, type LineSocket } from "../../src/ingest/feeds/line.ts";
import { Reconnect } from "../../src/ingest/feeds/reconnect.ts";
import { SendBudget } from "../../src/ingest/feeds/send-budget.ts";

/** A socket whose other end is the test. */
class Socket implements LineSocket {
  readonly sent: string[] = [];
  isClosed = false;
  onopen: LineSocket["onopen"] = null;
  onclose: LineSocket["onclose"] = null;
  onerror: LineSocket["onerror"] = null;
  onmessage: LineSocket["onmessage"] = null;
  send(text: string): void {
    this.sent.push(text);
  }
  close(): void {
    this.isClosed = true;
  }
}

class Bench implements LineListener {
  readonly sockets: Socket[] = [];
  readonly log: string[] = [];
  readonly line: Line;

  constructor(options: Partial<LineOptions> = {}) {
    this.line = new Line(this, {
      url: "ws://venue",
      subscribe: ["a", "b"],
      random: () => 0.5,
      openSocket: () => {
        const socket = new Socket();
        this.sockets.push(socket);
        return socket;
      },
      ...options,
    });
  }

  onText(text: string): void {
    this.log.push(`text ${text}`);
  }
  onOpen(): void {
    this.log.push("open");
  }
  onLost(reason: string, lastMessageMs: number, retryMs: number): void {
    this.log.push(`${reason} ${lastMessageMs} ${retryMs}`);
  }
  /** The newest socket. */
  get socket(): Socket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("No socket was opened");
    return socket;
  }
  open(): void {
    this.socket.onopen?.(new Event("open"));
  }
  close(): void {
    this.socket.onclose?.(new CloseEvent("close"));
  }
  message(data: unknown): void {
    this.socket.onmessage?.(new MessageEvent("message", { data }));
  }
}

test("subscriptions go out within the venue's limit, and again on the next connection", () => {
  const bench = new Bench({ subscribe: ["1", "2", "3", "4"], sendsPerSecondMax: 3 });
  bench.line.start(0);
  bench.open();
  expect(bench.socket.sent).toEqual(["1", "2", "3"]);
  bench.line.tick(999);
  expect(bench.socket.sent.length).toBe(3);
  bench.line.tick(1000);
  expect([bench.socket.sent, bench.line.isSubscribed]).toEqual([["1", "2", "3", "4"], true]);
  bench.close();
  bench.line.tick(1500);
  bench.open();
  expect(bench.socket.sent).toEqual(["1", "2"]); // one of the last second counts still
});

test("a ping goes out after silence of ours", () => {
  const bench = new Bench({ ping: { text: "ping", everyMs: 1000 } });
  bench.line.start(0);
  bench.open();
  bench.line.tick(999);
  expect(bench.socket.sent).toEqual(["a", "b"]);
  bench.line.tick(1000);
  bench.line.tick(1500);
  expect(bench.socket.sent).toEqual(["a", "b", "ping"]);
});

test("silence of the line ends it, heartbeats alone end it only when data have their own limit", () => {
  const bench = new Bench({ silenceMs: 100, dataSilenceMs: 300 });
  bench.line.start(0);
  bench.open();
  for (let nowMs = 50; nowMs <= 250; nowMs += 50) {
    bench.line.tick(nowMs);
    bench.message("heartbeat");
  }
  bench.line.tick(299);
  bench.message("heartbeat");
  bench.line.tick(300);
  expect(bench.log.at(-1)).toBe("data_silence 299 500");
  bench.line.tick(800);
  bench.open();
  bench.line.tick(899);
  expect(bench.line.state).toBe("open");
  bench.line.tick(900);
  expect(bench.log.at(-1)).toBe("silence NaN 1000");
});

test("delays double with every failure, and only data resets them", () => {
  const bench = new Bench();
  bench.line.start(0);
  let nowMs = 0;
  for (const expected of [500, 1000, 2000]) {
    bench.open();
    bench.close();
    expect(bench.log.at(-1)).toBe(`closed NaN ${expected}`);
    bench.line.tick(nowMs += expected);
  }
  bench.open();
  bench.line.dataSeen();
  bench.close();
  expect(bench.log.at(-1)).toBe("closed NaN 500");
});

test("a socket that never opens is given up, and what it says later is not heard", () => {
  const bench = new Bench({ connectTimeoutMs: 100 });
  bench.line.start(0);
  const first = bench.socket;
  bench.line.tick(100);
  expect([bench.log.at(-1), first.isClosed]).toEqual(["connect_timeout NaN 500", true]);
  first.onopen?.(new Event("open"));
  first.onmessage?.(new MessageEvent("message", { data: "late" }));
  first.onclose?.(new CloseEvent("close"));
  expect(bench.log).toEqual(["connect_timeout NaN 500"]);
});

test("after five failures the breaker opens for its time, then one probe decides", () => {
  const bench = new Bench({ reconnect: { openMs: 60_000 } });
  let nowMs = 0;
  bench.line.start(nowMs);
  for (let attempt = 1; attempt <= 5; attempt++) {
    bench.close();
    nowMs += attempt === 5 ? 0 : 16_000;
    bench.line.tick(nowMs);
  }
  expect([bench.log.at(-1), bench.line.breaker, bench.sockets.length]).toEqual([
    "refused NaN 60000",
    "open",
    5,
  ]);
  bench.line.tick(nowMs + 59_999);
  expect(bench.sockets.length).toBe(5);
  bench.line.tick(nowMs + 60_000);
  expect([bench.sockets.length, bench.line.breaker]).toEqual([6, "half_open"]);
  bench.close();
  expect(bench.line.breaker).toBe("open");
  bench.line.tick(nowMs + 120_000);
  bench.open();
  bench.line.dataSeen();
  expect(bench.line.breaker).toBe("closed");
});

test("a planned rotation connects at once, a request of the venue after a delay", () => {
  const bench = new Bench({ rotateMs: 1000, silenceMs: 5000 });
  bench.line.start(0);
  bench.open();
  bench.line.tick(1000);
  expect(bench.log.at(-1)).toBe("rotation NaN 0");
  bench.line.tick(1000);
  bench.open();
  bench.line.reconnectNow();
  expect(bench.log.at(-1)).toBe("asked NaN 500");
});

test("binary frames are counted and not passed on; a stopped line stays stopped", () => {
  const bench = new Bench();
  bench.line.start(0);
  bench.open();
  bench.message(new Uint8Array(3));
  bench.message("text");
  expect([bench.log, bench.line.binaryCount]).toEqual([["open", "text text"], 1]);
  bench.line.stop();
  bench.line.tick(1e9);
  expect([bench.line.state, bench.sockets.length, bench.line.send("x")]).toEqual(["closed", 1, false]);
});

test("Reconnect keeps every delay between 0 and its ceiling, and obeys Retry-After", () => {
  for (const random of [0, 0.999999]) {
    const reconnect = new Reconnect({ random: () => random, failuresMax: 100 });
    const delays = Array.from({ length: 8 }, () => reconnect.failed());
    const ceilings = [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];
    expect(delays.every((delay, at) => delay >= 0 && delay <= (ceilings[at] ?? 0))).toBe(true);
    expect(reconnect.failed(90_000)).toBe(90_000);
  }
});

test("SendBudget never gives more than its weight in any window", () => {
  const budget = new SendBudget(10, 1000);
  expect([budget.take(0, 6), budget.take(1, 5), budget.take(2, 4), budget.take(999, 1)]).toEqual(
    [true, false, true, false],
  );
  expect([budget.free(1000), budget.take(1000, 6), budget.take(1001, 11)]).toEqual([6, true, false]);
});
