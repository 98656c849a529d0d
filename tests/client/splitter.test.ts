import { expect, test } from "bun:test";
import { FrameSplitter } from "../../src/client/splitter.ts";
import { control } from "./peer.ts";

const STREAM = Buffer.concat([
  control(9, ""),
  control(2, "welcome"),
  control(6, "x".repeat(300)),
  control(3, "12345678"),
]);
const BODIES = [`\x20\x09`, "\x20\x02welcome", `\x20\x06${"x".repeat(300)}`, "\x20\x0312345678"];

function split(chunks: readonly Uint8Array[], frameBytesMax = 1000): string[] {
  const bodies: string[] = [];
  const splitter = new FrameSplitter((bytes, at, end) => {
    bodies.push(Buffer.from(bytes.subarray(at, end)).toString("latin1"));
  }, frameBytesMax);
  for (const chunk of chunks) splitter.feed(chunk);
  return bodies;
}

test("feed() finds the same frames wherever the stream is cut in two", () => {
  for (let cut = 0; cut <= STREAM.length; cut++) {
    expect(split([STREAM.subarray(0, cut), STREAM.subarray(cut)])).toEqual(BODIES);
  }
});

test("feed() finds the same frames in chunks of any one size", () => {
  for (let size = 1; size <= STREAM.length; size++) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < STREAM.length; at += size) chunks.push(STREAM.subarray(at, at + size));
    expect(split(chunks)).toEqual(BODIES);
  }
});

test("feed() takes a body of frameBytesMax and refuses one byte more", () => {
  expect(split([control(6, "x".repeat(98))], 100)).toEqual([`\x20\x06${"x".repeat(98)}`]);
  expect(() => split([control(6, "x".repeat(99))], 100)).toThrow("Server sent a frame of 101 bytes");
  expect(() => split([Buffer.from("HTTP/1.1 400 Bad Request\r\n")], 100)).toThrow("Server sent a frame of");
});

test("feed() refuses a length below head and opcode, also when it arrives byte by byte", () => {
  const bytes = Buffer.from([0, 0, 0, 1, 0x20]);
  expect(() => split([bytes])).toThrow("Server sent a frame of 1 bytes");
  expect(() => split([...bytes].map((byte) => Buffer.from([byte])))).toThrow(
    "Server sent a frame of 1 bytes",
  );
});
