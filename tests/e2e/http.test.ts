import { afterEach, expect, test } from "bun:test";
import { EscServer, runEsc } from "../support/esc.ts";

const servers: EscServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
});

async function start(...given: Parameters<typeof EscServer.start>): Promise<EscServer> {
  const server = await EscServer.start(...given);
  servers.push(server);
  return server;
}

const LINES = 500;
const lines = (from: number) =>
  Array.from(
    { length: LINES },
    (_, index) =>
      JSON.stringify({ topic: "e2e", payload: `${from + index}`, priority: 1, id: `${from + index}` }),
  ).join("\n");

async function publish(server: EscServer, from: number): Promise<void> {
  const answer = await fetch(server.url("/api/v1/publish"), {
    method: "POST",
    body: lines(from),
    headers: { "content-type": "application/x-ndjson" },
  });
  expect(await answer.json()).toMatchObject({ published: LINES, failed: 0 });
}

/** All payloads of a topic by cursor, sorted as numbers. */
async function readAll(server: EscServer, topic: string): Promise<number[]> {
  const numbers: number[] = [];
  let cursor = "";
  do {
    const query = `topic=${topic}&limit=300${cursor && `&cursor=${cursor}`}`;
    const page = await (await fetch(server.url(`/api/v1/events?${query}`))).json() as {
      events: { payload: string }[];
      cursor?: string;
    };
    numbers.push(...page.events.map((event) => Number(event.payload)));
    cursor = page.cursor ?? "";
  } while (cursor);
  return numbers.toSorted((a, b) => a - b);
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Reads `data:` lines of a stream until `count` have come. */
async function takeEvents(response: Response, count: number): Promise<{ payload: string }[]> {
  const events: { payload: string }[] = [];
  let text = "";
  if (response.body === null) throw new Error("No body");
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const parts = (text + chunk).split("\n");
    text = parts.pop() ?? "";
    for (const line of parts) if (line.startsWith("data: ")) events.push(JSON.parse(line.slice(6)));
    if (events.length >= count) break;
  }
  return events;
}

test("what was published durably by HTTP survives SIGKILL, once, also when it is sent again", async () => {
  const first = await start();
  await publish(first, 0);
  await first.kill();
  const second = await start({ folder: first.folder });
  // The client does not know whether its last request was stored: it repeats it with the same ids.
  await publish(second, 0);
  await publish(second, LINES);
  expect(await readAll(second, "e2e")).toEqual(numbers(2 * LINES));
  const { events } = await (await fetch(second.url("/api/v1/stats"))).json() as {
    events: Record<string, number>;
  };
  expect(events).toMatchObject({ received: 2 * LINES, accepted: LINES, duplicates: LINES, durable: LINES });
}, 60_000);

test("events sent over TCP come out of a stream of server-sent events, byte for byte", async () => {
  const server = await start();
  const stream = await fetch(server.url("/api/v1/subscribe?topics=tcp.*&from=latest"));
  const text = numbers(200).map((number) => `line ${number} äöü`).join("\n");
  const sent = await runEsc(["send", `--port=${server.tcpPort}`, "--topic=tcp.a", "--acks=durable", "-"], {
    stdin: text,
  });
  expect([sent.status, sent.stderr]).toEqual([0, expect.any(String)]);
  const events = await takeEvents(stream, 200);
  expect(events.map((event) => event.payload).join("\n")).toBe(text);
}, 60_000);

test(
  "SIGTERM ends the server at once though streams and WebSockets are open, and loses nothing accepted",
  async () => {
    const server = await start();
    const stream = await fetch(server.url("/api/v1/subscribe?topics=>"));
    const reader = stream.body?.getReader();
    await reader?.read();
    const socket = new WebSocket(server.url("/api/v1/subscribe?topics=>").replace("http", "ws"));
    const closed = new Promise<number>((resolve) =>
      socket.addEventListener("close", ({ code }) => resolve(code))
    );
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    for (let round = 0; round < 4; round++) {
      await fetch(server.url("/api/v1/publish?acks=accepted"), {
        method: "POST",
        body: lines(round * LINES),
        headers: { "content-type": "application/x-ndjson" },
      });
    }
    const status = await server.stop();
    expect([status, status === 0 ? "" : server.log]).toEqual([0, ""]);
    expect(await closed).toBe(1001);
    const again = await start({ folder: server.folder });
    expect(await readAll(again, "e2e")).toEqual(numbers(4 * LINES));
  },
  60_000,
);

test("a port that is taken is said so", async () => {
  const server = await start();
  const failure = await EscServer.start({ config: { http: { port: server.httpPort } } }).then(
    (other) => {
      servers.push(other);
      return "";
    },
    (error: Error) => error.message,
  );
  expect(failure).toContain(`Cannot listen for HTTP on 127.0.0.1:${server.httpPort}`);
}, 60_000);
