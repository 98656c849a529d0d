import { expect, test } from "bun:test";
import { decodeFrame } from "../../src/event/decode.ts";
import { encodeEvent, encodeFrame, eventProblem, frameBytesOf } from "../../src/event/encode.ts";
import { findTag, payloadEnd, payloadStart } from "../../src/event/ext.ts";
import { REJECT_REASONS, TAG_ID, TAG_KEY } from "../../src/event/frame.ts";
import { RUN_BYTES_MAX } from "../../src/event/run.ts";
import {
  FrameScanner,
  SCAN_BAD_EVENT,
  SCAN_CONTROL,
  SCAN_FRAMING_LOST,
  SCAN_NEED_MORE,
  SCAN_RUN_FULL,
} from "../../src/event/scan.ts";

function hex(text: string): Uint8Array {
  return Buffer.from(text.replaceAll(/\s/g, ""), "hex");
}

/** Verdict on one frame: "good", "control", "more", "lost" or the reason it is refused. */
function judge(bytes: Uint8Array, maxFrameBytes = 1 << 20): string {
  const scanner = new FrameScanner(maxFrameBytes);
  const verdict = scanner.scan(bytes, 0, bytes.length);
  if (verdict === SCAN_BAD_EVENT) return REJECT_REASONS[scanner.reason] ?? "?";
  if (verdict === SCAN_FRAMING_LOST) return "lost";
  if (verdict === SCAN_CONTROL) return "control";
  return scanner.count === 1 ? "good" : "more";
}

// The golden frames pin the wire format: a change here breaks every client.
const golden = {
  plain: "0000000a 02 0003 612e62 68656c6c",
  empty: "00000004 00 0001 61",
  ext:
    "00000029 44 0001 74 001f 01 0002 6964 02 0008 00060a24181e4000 03 0001 6b 04 0003 680076 04 0002 6e00 70617931",
  crc: "0000000a 81 0001 61 7879 00000000",
};

test("golden plain frame", () => {
  const bytes = hex(golden.plain);
  expect(judge(bytes)).toBe("good");
  expect(Buffer.from(encodeFrame({ topic: "a.b", priority: 2, payload: "hell" }))).toEqual(
    Buffer.from(bytes),
  );
  expect(decodeFrame(bytes, 0)).toEqual({
    topic: "a.b",
    priority: 2,
    headers: [],
    payload: new Uint8Array(Buffer.from("hell")),
  });
});

test("golden frame without payload", () => {
  expect(judge(hex(golden.empty))).toBe("good");
  expect(Buffer.from(encodeFrame({ topic: "a", payload: "" }))).toEqual(Buffer.from(hex(golden.empty)));
});

test("golden frame with every extension", () => {
  const event = {
    topic: "t",
    priority: 4,
    id: "id",
    timeUs: 1_700_000_000_000_000,
    key: "k",
    headers: [["h", "v"], ["n", ""]] as const,
    payload: "pay1",
  };
  const bytes = encodeFrame(event);
  expect(Buffer.from(bytes).toString("hex")).toBe(Buffer.from(hex(golden.ext)).toString("hex"));
  expect(judge(bytes)).toBe("good");
  const { payload, ...rest } = decodeFrame(bytes, 0);
  expect(rest).toEqual({
    topic: "t",
    priority: 4,
    id: "id",
    timeUs: 1_700_000_000_000_000,
    key: "k",
    headers: [["h", "v"], ["n", ""]],
  });
  expect(Buffer.from(payload).toString()).toBe("pay1");
});

test("golden CRC: IEEE, over everything before it", () => {
  const bytes = encodeFrame({ topic: "a", priority: 1, payload: "xy", crc: true });
  expect(Buffer.from(bytes.subarray(0, 10))).toEqual(Buffer.from(hex(golden.crc).subarray(0, 10)));
  expect(Buffer.from(bytes).readUInt32BE(10)).toBe(Bun.hash.crc32(hex("81 0001 61 7879")));
  expect(judge(bytes)).toBe("good");
  expect(judge(hex(golden.crc))).toBe("bad_crc");
});

test("scan() finds every single changed byte of a frame with CRC", () => {
  for (const payload of ["short", "long ".repeat(100)]) {
    const bytes = encodeFrame({ topic: "topic", priority: 3, payload, id: "x", crc: true });
    for (let at = 4; at < bytes.length; at++) {
      const broken = bytes.slice();
      broken[at] = (broken[at] as number) ^ 0x41;
      expect(judge(broken)).not.toBe("good");
    }
  }
});

test.each(
  [
    ["good", "00000004 04 0001 61"],
    ["bad_priority", "00000004 05 0001 61"],
    ["bad_priority", "00000004 07 0001 61"],
    ["bad_head", "00000004 08 0001 61"],
    ["bad_head", "00000004 10 0001 61"],
    ["bad_head", "00000004 21 0001 61"],
    ["bad_head", "00000004 60 0001 61"],
    ["bad_head", "00000004 a0 0001 61"],
    ["control", "00000003 20 08 61"],
    ["bad_topic_length", "00000003 00 0000"],
    ["bad_topic_length", "00000003 00 0001"],
    ["bad_topic_length", "00000004 00 0002 61"],
    ["bad_topic_length", "00000004 00 ffff 61"],
    ["bad_topic_length", "00000007 80 0001 00000000"],
    ["lost", "00000000"],
    ["lost", "00000002 0000"],
    ["lost", "00100001"],
    ["lost", "ffffffff"],
    ["more", "00100000"],
    ["more", "000000"],
    // Extension area: bit set, and nothing, too little, or too much behind it.
    ["bad_ext", "00000004 40 0001 61"],
    ["bad_ext", "00000005 40 0001 61 00"],
    ["good", "00000006 40 0001 61 0000"],
    ["bad_ext", "00000006 40 0001 61 0001"],
    ["bad_ext", "00000008 40 0001 61 0002 0100"],
    ["bad_ext", "00000009 40 0001 61 0003 010001"],
    ["good", "0000000a 40 0001 61 0004 01000169"],
    ["bad_ext", "00000009 40 0001 61 0003 010000"],
    ["bad_ext", "0000000a 40 0001 61 0004 00000169"],
    ["bad_ext", "0000000a 40 0001 61 0004 05000169"],
    ["bad_ext", "0000000e 40 0001 61 0008 01000169 0100016a"],
    ["bad_ext", "0000000e 40 0001 61 0008 03000169 0300016a"],
    ["good", "0000000e 40 0001 61 0008 01000169 0300016a"],
    ["bad_ext", "00000010 40 0001 61 000a 020007 00000000000000"],
    ["good", "00000011 40 0001 61 000b 020008 0000000000000001"],
    ["good", "00000011 40 0001 61 000b 020008 ffffffffffffffff"],
    ["good", "00000011 40 0001 61 000b 020008 001fffffffffffff"],
    ["bad_ext", "00000011 40 0001 61 000b 020008 0020000000000000"],
    ["good", "0000000b 40 0001 61 0005 0400026800"],
    ["bad_ext", "0000000b 40 0001 61 0005 0400020068"],
    ["bad_ext", "0000000b 40 0001 61 0005 0400026868"],
  ] as const,
)("scan() says %s to %s", (expected, text) => {
  expect(judge(hex(text))).toBe(expected);
});

test("message ids have 1 to 64 bytes", () => {
  for (const [length, expected] of [[1, "good"], [63, "good"], [64, "good"], [65, "bad_ext"]] as const) {
    expect(judge(encodeFrame({ topic: "t", payload: "p", id: "i".repeat(length) }))).toBe(expected);
  }
});

test("topics have 1 to 255 bytes", () => {
  for (
    const [length, expected] of [[1, "good"], [254, "good"], [255, "good"], [
      256,
      "bad_topic_length",
    ]] as const
  ) {
    expect(judge(encodeFrame({ topic: "t".repeat(length), payload: "p" }))).toBe(expected);
    expect(judge(encodeFrame({ topic: "t".repeat(length), payload: "p", id: "x", crc: true }))).toBe(
      expected,
    );
  }
});

test("scan() agrees with the runtime about UTF-8 topics", () => {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const isUtf8 = (bytes: Uint8Array) => {
    try {
      decoder.decode(bytes);
      return true;
    } catch {
      return false;
    }
  };
  const lead = [
    0x00,
    0x7f,
    0x80,
    0xbf,
    0xc0,
    0xc1,
    0xc2,
    0xdf,
    0xe0,
    0xe1,
    0xec,
    0xed,
    0xee,
    0xef,
    0xf0,
    0xf3,
    0xf4,
  ];
  const bytes = [...lead, 0x8f, 0x90, 0x9f, 0xa0, 0xf5, 0xff];
  let good = 0;
  for (const a of bytes) {
    for (const b of bytes) {
      for (const c of bytes) {
        for (const d of bytes) {
          const topic = Uint8Array.of(a, b, c, d);
          const expected = isUtf8(topic) ? "good" : "bad_topic_utf8";
          good += expected === "good" ? 1 : 0;
          if (judge(Uint8Array.of(0, 0, 0, 7, 0, 0, 4, a, b, c, d)) !== expected) {
            throw new Error(`${Buffer.from(topic).toString("hex")} should be ${expected}`);
          }
        }
      }
    }
  }
  expect(good).toBeGreaterThan(100);
});

test("a run ends at RUN_BYTES_MAX, or behind one larger frame", () => {
  const frame = encodeFrame({ topic: "t", payload: new Uint8Array(1000) });
  const stream = Buffer.concat(Array.from({ length: 200 }, () => frame));
  const scanner = new FrameScanner(1 << 20);
  expect(scanner.scan(stream, 0, stream.length)).toBe(SCAN_RUN_FULL);
  expect(scanner.count).toBe(Math.floor(RUN_BYTES_MAX / frame.length));
  expect(scanner.end).toBe(scanner.count * frame.length);

  const large = encodeFrame({ topic: "t", payload: new Uint8Array(RUN_BYTES_MAX) });
  const mixed = Buffer.concat([large, frame]);
  expect(scanner.scan(mixed, 0, mixed.length)).toBe(SCAN_RUN_FULL);
  expect([scanner.count, scanner.end]).toEqual([1, large.length]);
});

test("scan() says where a cut frame will end", () => {
  const frame = encodeFrame({ topic: "t", payload: "payload" });
  const scanner = new FrameScanner(1 << 20);
  expect(scanner.scan(frame, 0, frame.length - 1)).toBe(SCAN_NEED_MORE);
  expect([scanner.count, scanner.end, scanner.frameEnd]).toEqual([0, 0, frame.length]);
  expect(scanner.scan(frame, 0, 3)).toBe(SCAN_NEED_MORE);
  expect(scanner.frameEnd).toBe(-1);
});

test("hasIds is set by message ids only", () => {
  const scanner = new FrameScanner(1 << 20);
  const withKey = encodeFrame({ topic: "t", payload: "p", key: "k" });
  scanner.scan(withKey, 0, withKey.length);
  expect(scanner.hasIds).toBe(0);
  const both = Buffer.concat([withKey, encodeFrame({ topic: "t", payload: "p", id: "i" })]);
  scanner.scan(both, 0, both.length);
  expect([scanner.count, scanner.hasIds]).toEqual([2, 1]);
});

test("findTag() finds key and id, and nothing in a plain frame", () => {
  const bytes = encodeFrame({
    topic: "t",
    payload: "p",
    headers: [["a", "b"]],
    key: "key",
    id: "the id",
    crc: true,
  });
  const text = (tag: number) => {
    const found = findTag(bytes, 0, tag);
    return found && Buffer.from(bytes.subarray(found.start, found.start + found.length)).toString();
  };
  expect(text(TAG_KEY)).toBe("key");
  expect(text(TAG_ID)).toBe("the id");
  expect(Buffer.from(bytes.subarray(payloadStart(bytes, 0), payloadEnd(bytes, 0))).toString()).toBe("p");
  expect(findTag(encodeFrame({ topic: "t", payload: "p" }), 0, TAG_KEY)).toBeUndefined();
});

test("encodeEvent() writes exactly frameBytesOf() bytes at its place, or throws", () => {
  const event = { topic: "größe", payload: "ü", id: "ä", crc: true };
  const length = frameBytesOf(event);
  const target = new Uint8Array(length + 20).fill(0xee);
  expect(encodeEvent(target, 10, event)).toBe(10 + length);
  expect(target.subarray(0, 10).every((byte) => byte === 0xee)).toBe(true);
  expect(target.subarray(10 + length).every((byte) => byte === 0xee)).toBe(true);
  expect(decodeFrame(target, 10)).toMatchObject({ topic: "größe", id: "ä" });
  expect(() => encodeEvent(target, 21, event)).toThrow(RangeError);
});

test("eventProblem() names what the server would refuse", () => {
  const good = { topic: "t", payload: "p" };
  expect(eventProblem(good, 100)).toBeUndefined();
  expect(eventProblem({ ...good, topic: "" }, 100)).toContain("Topic has 0 bytes");
  expect(eventProblem({ ...good, topic: "t".repeat(256) }, 1000)).toContain("256 bytes");
  expect(eventProblem({ ...good, topic: "\ud800" }, 100)).toContain("surrogate");
  expect(eventProblem({ ...good, priority: 5 }, 100)).toContain("Priority 5");
  expect(eventProblem({ ...good, id: "" }, 100)).toContain("Message id has 0 bytes");
  expect(eventProblem({ ...good, id: "i".repeat(65) }, 100)).toContain("65 bytes");
  expect(eventProblem({ ...good, key: "" }, 100)).toContain("Key");
  expect(eventProblem({ ...good, timeUs: 0.5 }, 100)).toContain("Event time");
  expect(eventProblem({ ...good, headers: [["", "v"]] }, 100)).toContain("Header name");
  expect(eventProblem({ topic: "t", payload: new Uint8Array(96) }, 100)).toBeUndefined();
  expect(eventProblem({ topic: "t", payload: new Uint8Array(97) }, 100)).toContain("101 bytes");
});
