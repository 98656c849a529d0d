import { expect, test } from "bun:test";
import {
  ackFrame,
  CONTROL_HEADER_BYTES,
  controlFrame,
  errorFrame,
  parseAck,
  parseError,
  parseHello,
  parseWelcome,
  writeAck,
} from "../../src/event/control-frame.ts";

const json = (value: unknown) => Buffer.from(JSON.stringify(value));

test("golden control frames", () => {
  expect(Buffer.from(ackFrame(2 ** 32 + 5)).toString("hex")).toBe("0000000a20030000000100000005");
  expect(Buffer.from(controlFrame(8, "ab")).toString("hex")).toBe("0000000420086162");
  expect(Buffer.from(errorFrame({ code: "BAD_EVENT", message: "m", seq: 1 })).toString("latin1")).toBe(
    '\0\0\0\x2e\x20\x04{"code":"BAD_EVENT","message":"m","seq":1}'.replace("\x2e", "\x2c"),
  );
});

test("parseAck() reads what ackFrame() writes", () => {
  for (const done of [0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    expect(parseAck(ackFrame(done).subarray(CONTROL_HEADER_BYTES))).toBe(done);
    expect(Buffer.from(writeAck(done)).equals(Buffer.from(ackFrame(done)))).toBe(true);
  }
  expect(parseAck(new Uint8Array(7))).toBeUndefined();
});

test("parseHello() takes the documented fields and refuses the rest with a sentence", () => {
  expect(parseHello(json({}))).toEqual({ value: { acks: "none" } });
  expect(parseHello(json({ acks: "durable", producer: "p", token: "t", more: 1 }))).toEqual({
    value: { acks: "durable", producer: "p", token: "t" },
  });
  expect(parseHello(json({ acks: "all" })).problem).toContain("acks must be one of");
  expect(parseHello(json({ producer: 1 })).problem).toContain("producer");
  expect(parseHello(json({ token: "" })).problem).toContain("token");
  for (const bytes of ["", "[]", "null", "{", "\xff"]) {
    expect(parseHello(Buffer.from(bytes, "latin1")).problem).toContain("not a JSON object");
  }
});

test("parseWelcome() and parseError() read what the server sends", () => {
  const welcome = { server: "esc", version: "1", max_frame_bytes: 5, acks: "none" };
  expect(parseWelcome(json(welcome))).toEqual({
    value: { server: "esc", version: "1", max_frame_bytes: 5, acks: "none" },
  });
  expect(parseWelcome(json({ server: "esc" })).problem).toContain("WELCOME needs");
  expect(parseError(json({ code: "X", message: "m", seq: 3, count: 2 }))).toEqual({
    value: { code: "X", message: "m", seq: 3, count: 2 },
  });
  expect(parseError(json({})).problem).toContain("ERROR needs");
});
