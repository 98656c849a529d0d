import { expect, test } from "bun:test";
import { copyShort, SHORT_COPY_BYTES } from "../../src/queue/copy.ts";

test("copyShort() copies exactly what it is told, from any index, of any length", () => {
  const source = new Uint8Array(new ArrayBuffer(SHORT_COPY_BYTES + 64)).map((_, index) =>
    (index * 167 + 13) & 0xff
  );
  const view = new DataView(source.buffer);
  const memory = new SharedArrayBuffer(SHORT_COPY_BYTES + 64);
  const target = { bytes: new Uint8Array(memory), words: new Int32Array(memory) };
  for (let from = 0; from < 9; from++) {
    for (let length = 0; length <= SHORT_COPY_BYTES; length++) {
      const to = 8 + 4 * (length % 3);
      target.bytes.fill(0xee);
      copyShort(view, from, target, to, length);
      const expected = new Uint8Array(memory.byteLength).fill(0xee);
      expected.set(source.subarray(from, from + length), to);
      if (!Buffer.from(expected).equals(Buffer.from(target.bytes))) {
        throw new Error(`copy of ${length} bytes from ${from} to ${to} is wrong`);
      }
    }
  }
  expect(target.bytes[0]).toBe(0xee);
});
