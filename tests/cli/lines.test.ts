import { expect, test } from "bun:test";
import { LineCursor } from "../../cli/lines.ts";
import { withRandom } from "../support/seed.ts";

/** All lines of a stream that comes in these chunks. */
function linesOf(chunks: readonly Uint8Array[], lineBytesMax = 1000): { lines: string[]; tooLong: number } {
  const cursor = new LineCursor(lineBytesMax);
  const lines: string[] = [];
  const take = () => lines.push(Buffer.from(cursor.bytes.subarray(cursor.at, cursor.end)).toString("latin1"));
  for (const chunk of chunks) {
    cursor.feed(chunk);
    while (cursor.next()) take();
  }
  if (cursor.last()) take();
  return { lines, tooLong: cursor.tooLongCount };
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

test.each([
  ["", []],
  ["\n", [""]],
  ["a", ["a"]],
  ["a\n", ["a"]],
  ["a\n\nb", ["a", "", "b"]],
  ["a\r\nb\0\xff\n", ["a\r", "b\0\xff"]],
])("%j has the lines %j", (text, expected) => {
  expect(linesOf([bytes(text)]).lines).toEqual(expected);
});

test("a line of the limit is taken, one byte more is left out and counted, wherever chunks end", () => {
  const text = "12345\n123456\nabc\n123456\n12345";
  for (let size = 1; size <= text.length; size++) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < text.length; at += size) chunks.push(bytes(text.slice(at, at + size)));
    expect(linesOf(chunks, 5)).toEqual({ lines: ["12345", "abc", "12345"], tooLong: 2 });
  }
  expect(linesOf([bytes("ok\n1234567")], 5)).toEqual({ lines: ["ok"], tooLong: 1 });
});

test("any text in any chunks has the lines that split() finds", () =>
  withRandom((random) => {
    for (let round = 0; round < 300; round++) {
      const text = Array.from({ length: random.below(200) }, () => random.pick(["a", "b", "\r", "\n", "\n"]))
        .join("");
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < text.length;) {
        const end = at + random.below(20);
        chunks.push(bytes(text.slice(at, end)));
        at = end;
      }
      const expected = text.split("\n");
      if (expected.at(-1) === "") expected.pop();
      expect(linesOf(chunks).lines).toEqual(expected);
    }
  }));
