import { expect, test } from "bun:test";
import { encodeFrame } from "../../src/event/encode.ts";
import { encodeMessage, MessageReader } from "../../src/process/handlers/user/messages.ts";
import { outcomeOf } from "../../src/process/handlers/user/outcome-check.ts";
import { Parcel, ParcelCursor } from "../../src/process/handlers/user/parcel.ts";
import { HandlerState, STATE_CHARACTERS_MAX } from "../../src/process/handlers/user/state.ts";
import { EventRecord } from "../../src/process/rules/event-facts.ts";

function recordOf(offset: number, topic: string, payload: string): EventRecord {
  const event = new EventRecord();
  event.lane = offset % 2 === 0 ? "realtime" : "größer";
  event.shard = offset % 3;
  event.open(encodeFrame({ topic, payload, priority: 2, key: `k${offset}` }), 0, offset, 1_000_000 + offset);
  return event;
}

test("a parcel gives back each event as it was, with what rules have made of it", () => {
  const parcel = new Parcel();
  for (let offset = 0; offset < 500; offset++) {
    const event = recordOf(offset, `t.${offset}`, `{"n":${offset}}${" ".repeat(offset % 11)}`);
    if (offset % 5 === 0) event.enrich("region", `ü${offset}`);
    if (offset % 7 === 0) event.setPriority(4);
    parcel.add(event, offset % 9 === 0);
  }
  const again = new Parcel();
  again.addAll(parcel.bytes);
  expect(again.bytes).toEqual(parcel.bytes);
  const cursor = new ParcelCursor(again.bytes);
  const event = new EventRecord();
  for (let offset = 0; cursor.next(); offset++) {
    cursor.open(event);
    const { topic, payload, priority, key, lane, shard, receivedUs } = event;
    expect({ topic, payload, priority, key, lane, shard, receivedUs, offset: event.offset }).toEqual({
      topic: `t.${offset}`,
      payload: offset % 5 === 0 ? { n: offset, region: `ü${offset}` } : { n: offset },
      priority: offset % 7 === 0 ? 4 : 2,
      key: `k${offset}`,
      lane: offset % 2 === 0 ? "realtime" : "größer",
      shard: offset % 3,
      receivedUs: 1_000_000 + offset,
      offset,
    });
    expect(cursor.isFirst).toBe(offset % 9 === 0);
    expect(cursor.isOf(lane, shard)).toBe(true);
    expect(cursor.isOf("other", shard)).toBe(false);
  }
  expect(cursor.index).toBe(499);
});

test("messages come out whole, wherever the stream is cut", () => {
  const sent: [number, string][] = [[2, ""], [16, "a"], [18, "ä".repeat(300)], [1, "{}"]];
  const stream = Buffer.concat(sent.map(([kind, body]) => encodeMessage(kind, body)));
  for (const pieceBytes of [1, 2, 3, 4, 5, 7, 64, stream.length]) {
    const got: [number, string][] = [];
    const reader = new MessageReader((kind, body) => got.push([kind, body.toString()]));
    for (let at = 0; at < stream.length; at += pieceBytes) reader.feed(stream.subarray(at, at + pieceBytes));
    expect(got).toEqual(sent);
  }
});

test("a message of an impossible length is refused", () => {
  const reader = new MessageReader(() => {});
  expect(() => reader.feed(Buffer.from([255, 255, 255, 255, 1]))).toThrow(RangeError);
});

test("undo() takes back what the event in hand has changed, and nothing else", () => {
  const state = new HandlerState();
  state.load([["old", "1"], ["gone", "true"]]);
  state.set("kept", [1]);
  state.keep();
  state.set("old", 2);
  state.set("kept", "other");
  state.set("kept", "again");
  state.set("new", {});
  state.delete("gone");
  state.undo();
  expect([...state.keys()].map((name) => [name, state.get(name)]).sort()).toEqual([
    ["gone", true],
    ["kept", [1]],
    ["old", 1],
  ]);
  expect(state.takeChanges()).toEqual([["kept", "[1]"]]);
  state.delete("old");
  state.keep();
  expect(state.takeChanges()).toEqual([["old", null]]);
  expect(state.takeChanges()).toEqual([]);
});

test("set() refuses what is no JSON, and more than STATE_CHARACTERS_MAX", () => {
  const state = new HandlerState();
  expect(() => state.set("f", () => 1)).toThrow(TypeError);
  // A name of one character, and two quotes.
  state.set("x", "v".repeat(STATE_CHARACTERS_MAX - 3));
  expect(() => state.set("y", 1)).toThrow(RangeError);
  state.set("x", "v".repeat(STATE_CHARACTERS_MAX - 5));
  state.set("y", 1);
  expect(() => state.set("y", 10)).toThrow(RangeError);
  state.undo();
  expect(state.size).toBe(0);
  state.set("x", "v".repeat(STATE_CHARACTERS_MAX - 3));
});

test.each([
  [undefined, { kind: "success" }],
  [null, { kind: "success" }],
  ["drop", { kind: "drop" }],
  [{ outcome: "fail", reason: "no" }, { kind: "fail", reason: "no", isFinal: true }],
  [{ outcome: "fail" }, { kind: "fail", reason: "no reason given", isFinal: true }],
  [{ outcome: "alert", severity: "critical", message: "m" }, {
    kind: "alert",
    severity: "CRITICAL",
    message: "m",
  }],
  [{ outcome: "alert", message: "m" }, { kind: "alert", severity: "WARNING", message: "m" }],
  [{ outcome: "alert" }, "an alert needs a message"],
  [
    { outcome: "alert", severity: "BAD", message: "m" },
    '"BAD" is no severity: INFO, WARNING, CRITICAL, EMERGENCY',
  ],
  [{ publish: { topic: "t", payload: 1 } }, { kind: "success", outputs: [{ topic: "t", payload: 1 }] }],
  [{ publish: [{ topic: "t" }] }, 'an event to publish on "t" needs a payload'],
  [{ publish: [{ payload: 1 }] }, "an event to publish needs a topic"],
  [{ publish: ["t"] }, "publish is a list of {topic, payload}"],
  [{ publish: { topic: "t", payload: 1, priority: 5 } }, "priority 5 is not a whole number from 0 to 4"],
  [{ outcome: "maybe" }, '"maybe" is no outcome: success, alert, drop, fail'],
  [7, '"7" is no outcome: success, alert, drop, fail'],
])("outcomeOf(%j)", (said: unknown, expected: unknown) => {
  expect(outcomeOf(said) as unknown).toEqual(expected);
});
