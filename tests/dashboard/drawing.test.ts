import { expect, test } from "bun:test";
import type { ChartData } from "../../src/dashboard/chart/chart-data.ts";
import { cut } from "../../src/dashboard/chart/chart-data.ts";
import { csvOf } from "../../src/dashboard/export/csv.ts";
import { pdfOf } from "../../src/dashboard/export/pdf.ts";
import { sceneOf } from "../../src/dashboard/export/scene.ts";
import { svgOf } from "../../src/dashboard/export/svg.ts";
import { format } from "../../src/dashboard/format.ts";
import { bytesOf, hexOf, prettyJson, preview } from "../../src/dashboard/parts/payload.ts";

const DATA: ChartData = {
  id: "test",
  title: `<Title> & "more" (1)`,
  unit: "events/s",
  times: [0, 1, 2, 3, 4],
  series: [
    { label: "=cmd|' /C calc'!A0", values: [0, 50, 100, null, 7], color: 0 },
    { label: `a "quoted" one`, values: [null, null, 1.5, null, null], color: 1 },
  ],
};
const RANGE = { from: 0, to: 4 };

test("sceneOf() draws a line where values follow each other, a dot where one is alone, nothing in a gap", () => {
  const { marks } = sceneOf(DATA, RANGE, "light");
  const lines = marks.filter((mark) => mark.kind === "line" && mark.width === 1.75);
  // 0, 50, 100 of an axis that ends at 100: from the bottom to the top, in half of the width.
  expect(lines).toEqual([
    { kind: "line", points: [[84, 400], [297, 242], [510, 84]], stroke: "#0f766e", width: 1.75 },
  ]);
  expect(marks.filter(({ kind }) => kind === "dot").map((dot) => "x" in dot && [dot.x, dot.y])).toEqual([
    [936, 377.88],
    [510, 395.26],
  ]);
});

test("svgOf() escapes what has a meaning in XML, and leaves out what XML cannot hold", () => {
  const svg = svgOf(sceneOf({ ...DATA, title: "<script>&\u0001" }, RANGE, "dark"));
  expect(svg).toContain("<title>&lt;script&gt;&amp;\ufffd</title>");
  expect(svg).not.toContain("<script");
});

test("pdfOf() is one byte a character, with brackets and foreign letters told apart", async () => {
  const bytes = new Uint8Array(
    await pdfOf(sceneOf({ ...DATA, title: "(µ) \\ 字" }, RANGE, "light")).arrayBuffer(),
  );
  const text = Buffer.from(bytes).toString("latin1");
  expect(text).toContain("(\\(µ\\) \\\\ ?) Tj");
  const [, length = ""] = /\/Length (\d+)/.exec(text) ?? [];
  const start = text.indexOf("stream\n") + "stream\n".length;
  expect(text.slice(start + Number(length))).toStartWith("\nendstream");
});

test("csvOf() quotes, and lets no label become a formula", () => {
  expect(csvOf(cut(DATA, { from: 2, to: 3 }))).toBe(
    [
      `"time","'=cmd|' /C calc'!A0 (events/s)","a ""quoted"" one (events/s)"`,
      "1970-01-01T00:00:02.000Z,100,1.5",
      "1970-01-01T00:00:03.000Z,,",
      "",
    ].join("\r\n"),
  );
});

test.each(
  [
    [0, "events/s", "0/s"],
    [999.4, "events/s", "999/s"],
    [12_345, "events", "12.3 k"],
    [1_234_567, "count", "1.23 M"],
    [850, "us", "850 µs"],
    [1500, "us", "1.50 ms"],
    [2_500_000, "us", "2.50 s"],
    [1536, "bytes", "1.50 KiB"],
    [0.001, "%", "< 0.01 %"],
    [null, "us", "–"],
    [NaN, "events", "–"],
  ] as const,
)("format(%p, %s) is %s", (value, unit, text) => {
  expect(format(value, unit)).toBe(text);
});

test("a payload is shown as JSON only when no digit of it is lost", () => {
  expect(prettyJson({ payload: `{"a":[1,2]}` })).toBe(`{\n  "a": [\n    1,\n    2\n  ]\n}`);
  expect(prettyJson({ payload: `{"id":12345678901234567890}` })).toBeUndefined();
  expect(prettyJson({ payload: `{"id":"12345678901234567890"}` })).toBeDefined();
  expect(prettyJson({ payload: "plain words" })).toBeUndefined();
  expect(prettyJson({ payload: "AAAA", encoding: "base64" })).toBeUndefined();
});

test("bytes are shown sixteen a line, with their characters", () => {
  expect(hexOf(bytesOf({ payload: "AEFC/w==", encoding: "base64" }))).toBe(
    "000000  00 41 42 ff                                      ·AB·",
  );
  expect(hexOf(new Uint8Array(65 * 1024)).split("\n").at(-1)).toBe("… 1024 bytes more");
  expect(preview({ payload: "a\n  b" })).toBe("a b");
});
