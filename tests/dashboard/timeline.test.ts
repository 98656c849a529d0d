import { expect, test } from "bun:test";
import {
  append,
  gauge,
  lanesOf,
  rate,
  type Row,
  sum,
  type Timeline,
} from "../../src/dashboard/live/timeline.ts";
import { fileOf, readTimeline } from "../../src/dashboard/live/saved.ts";
import { parseBlock, readMessages } from "../../src/dashboard/live/sse.ts";

const COLUMNS: Timeline["columns"] = [
  { name: "time", kind: "gauge", unit: "ms" },
  { name: "received", kind: "counter", unit: "events" },
  { name: "depth", kind: "gauge", unit: "bytes", lane: "a" },
  { name: "depth", kind: "gauge", unit: "bytes", lane: "b" },
];
const of = (...rows: Row[]): Timeline => ({ columns: COLUMNS, rows });

test("rate() is the growth a second; nothing after a gap, a restart, or a missing value", () => {
  const timeline = of(
    [1000, 10, 0, 0],
    [2000, 30, 0, 0],
    [2500, 40, 0, 0],
    [8000, 90, 0, 0],
    [9000, 5, 0, 0],
    [10_000, null, 0, 0],
    [11_000, 6, 0, 0],
    [12_000, 6, 0, 0],
  );
  expect(rate(timeline, "received")).toEqual([null, 20, 20, null, null, null, null, 0]);
  expect(rate(timeline, "nothing of that name")).toEqual([]);
});

test("gauge() finds the column of its lane", () => {
  const timeline = of([1, 0, 7, 8], [2, 0, null, 9]);
  expect([gauge(timeline, "depth", "a"), gauge(timeline, "depth", "b")]).toEqual([[7, null], [8, 9]]);
  expect(lanesOf(timeline)).toEqual(["a", "b"]);
  expect(sum([[1, null, null], [2, 3, null]])).toEqual([3, 3, null]);
});

test("append() takes newer rows only, and keeps the newest 3600", () => {
  const timeline = append(of([1, 0, 0, 0], [2, 0, 0, 0]), [[2, 9, 9, 9], [3, 0, 0, 0]]);
  expect(timeline.rows).toEqual([[1, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0]]);
  const many = Array.from({ length: 4000 }, (_, index): Row => [10 + index, 0, 0, 0]);
  const { rows } = append(timeline, many);
  expect([rows.length, rows[0]?.[0], rows.at(-1)?.[0]]).toEqual([3600, 410, 4009]);
});

test("a timeline that was saved is read again as it was", async () => {
  const timeline = of([1, 2, 3, null], [2, 3, 4, 5.5]);
  expect(await readTimeline(fileOf(timeline, "1.0.0"))).toEqual(timeline);
});

test.each([
  ["rows out of order", { rows: [[2, 0, 0, 0], [1, 0, 0, 0]] }, "Row 2"],
  ["a row that is too short", { rows: [[1, 0, 0]] }, "Row 1"],
  ["text for a number", { rows: [[1, "0", 0, 0]] }, "Row 1"],
  ["columns without time", { columns: COLUMNS.slice(1), rows: [] }, `not "time"`],
  ["another format", { format: "esc-live/2" }, "was not saved by this dashboard"],
  ["no rows", { rows: {} }, "rows of the file cannot be read"],
])("a file with %s is refused with a reason", async (_name, more, reason) => {
  const text = JSON.stringify({ format: "esc-live/1", columns: COLUMNS, rows: [], ...more });
  expect(readTimeline(new Blob([text]))).rejects.toThrow(reason);
});

test("readMessages() puts messages together wherever the network cut them", async () => {
  const text =
    `retry: 1000\nevent: hello\ndata: {"ü": 1}\n\n: a comment\n\nid: 7-3\nevent: rows\ndata: a\ndata: b\n\nevent: cut`;
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 3, 1000]) {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.subarray(at, at + size));
        controller.close();
      },
    });
    expect(await Array.fromAsync(readMessages(body))).toEqual([
      { event: "hello", data: `{"ü": 1}` },
      { event: "rows", data: "a\nb", id: "7-3" },
    ]);
  }
  expect(parseBlock(":")).toBeUndefined();
  expect(parseBlock("id: 7-3")).toEqual({ event: "message", data: "", id: "7-3" });
});
