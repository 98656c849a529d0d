/** NDJSON of any length: published while it is read, in memory that does not grow with it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { LineSplitter } from "../../src/api/line-splitter.ts";
import { withRandom } from "../support/seed.ts";
import { type ApiRig, startApi } from "./rig.ts";

describe("LineSplitter", () => {
  /** As a naive reader sees the same bytes. */
  function naive(text: string, lineBytesMax: number): string[] {
    const lines = text.split("\n");
    if (lines.at(-1) === "") lines.pop();
    return lines.map((line) => line.length > lineBytesMax ? "too long" : `=${line}`);
  }

  function read(splitter: LineSplitter, chunks: readonly Uint8Array[]): string[] {
    const shown = (line: Uint8Array | "too long") => line === "too long" ? line : `=${Buffer.from(line)}`;
    const lines = chunks.flatMap((chunk) => [...splitter.split(chunk)].map(shown));
    const last = splitter.rest();
    return last === "nothing" ? lines : [...lines, shown(last)];
  }

  test("lines come whole wherever the chunks are cut, and one below, at and above the limit", () =>
    withRandom((random) => {
      for (let round = 0; round < 500; round++) {
        const text = Array.from({ length: random.below(60) }, () => random.below(4) === 0 ? "\n" : "x").join(
          "",
        );
        const chunks: Uint8Array[] = [];
        for (let at = 0; at < text.length;) {
          const end = at + 1 + random.below(9);
          chunks.push(Buffer.from(text.slice(at, end)));
          at = end;
        }
        expect(read(new LineSplitter(5), chunks), JSON.stringify(text)).toEqual(naive(text, 5));
      }
    }));

  test("holds no more than a line may be long", () => {
    const splitter = new LineSplitter(100);
    for (let index = 0; index < 50; index++) {
      expect([...splitter.split(Buffer.alloc(30, "x"))]).toEqual([]);
      expect(splitter.heldBytes).toBeLessThanOrEqual(100);
    }
    expect([...splitter.split(Buffer.from("\nok\n"))].map(String)).toEqual(["too long", "ok"]);
  });
});

let api: ApiRig;
beforeAll(async () => {
  api = await startApi("grpc: { enable: false }", { maxBodyBytes: 100_000, maxNdjsonBytes: 8_000_000 });
});
afterAll(() => api.stop());

/** Sends lines as they are made. */
function send(lines: Iterable<string>, path = "/api/v1/publish"): Promise<Response> {
  const iterator = lines[Symbol.iterator]();
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      let text = "";
      while (text.length < 64 * 1024) {
        const { value, done } = iterator.next();
        if (done === true) {
          controller.enqueue(Buffer.from(text));
          controller.close();
          return;
        }
        text += `${value}\n`;
      }
      controller.enqueue(Buffer.from(text));
    },
  });
  return api.fetch(path, { method: "POST", headers: { "content-type": "application/x-ndjson" }, body });
}

function* events(count: number, topic: string, payload = "x".repeat(200)): Generator<string> {
  for (let index = 0; index < count; index++) yield JSON.stringify({ topic, payload: `${index} ${payload}` });
}

test("a body far longer than max_body_bytes is stored whole and in order", async () => {
  const count = 20_000;
  const response = await send(events(count, "long.body"));
  const answer = await response.json();
  expect([response.status, answer.published, answer.failed, answer.results.length]).toEqual([
    200,
    count,
    0,
    count,
  ]);
  expect(answer.results.map(({ offset }: { offset: number }) => offset)).toEqual(
    Array.from({ length: count }, (_, index) => answer.results[0].offset + index),
  );
});

test("errors name their lines, and neighbours of a bad line are published", async () => {
  const response = await send([
    "",
    '{"topic":"mixed.a","payload":1}',
    "nonsense",
    '{"payload":2}',
    "  ",
    '{"topic":"mixed.a","payload":3}',
  ]);
  const answer = await response.json();
  expect([answer.published, answer.failed]).toEqual([2, 2]);
  expect(answer.errors).toEqual([
    { line: 3, code: "BAD_EVENT", message: "Not JSON" },
    { line: 4, code: "BAD_EVENT", message: expect.stringContaining("topic") },
  ]);
});

test("of very many errors the first hundred are named, and all are counted", async () => {
  function* bad(): Generator<string> {
    yield '{"topic":"bad.many","payload":1}';
    for (let index = 0; index < 120_000; index++) yield "{";
  }
  const answer = await (await send(bad())).json();
  expect([answer.published, answer.failed]).toEqual([1, 120_000]);
  expect([answer.errors.length, answer.errors[99].line, answer.results.length]).toEqual([100, 101, 100_000]);
});

test("a line that is too long is refused by itself, however long it is", async () => {
  const response = await send([
    '{"topic":"wide","payload":1}',
    "x".repeat(7_000_000),
    '{"topic":"wide","payload":2}',
  ]);
  const answer = await response.json();
  expect([answer.published, answer.errors]).toEqual([2, [{
    line: 2,
    code: "BAD_EVENT",
    message: "Line is too long",
  }]]);
});

test("max_ndjson_bytes ends a body, and the answer says what was published before", async () => {
  const response = await send(events(60_000, "limited.body"));
  const answer = await response.json();
  expect(response.status).toBe(200);
  expect(answer.stopped_at_line).toBe(answer.published);
  expect(answer.published).toBeGreaterThan(1000);
  expect(answer.published).toBeLessThan(60_000);
  const { events: stored } = await (await api.fetch("/api/v1/events?topic=limited.body&limit=1")).json();
  expect(stored).toHaveLength(1);
});
