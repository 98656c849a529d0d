import { expect, test } from "bun:test";
import {
  BadRequest,
  MAX_IN_FLIGHT_MAX,
  parseConfirm,
  parseSubscribe,
  POSITIONS_MAX,
  REQUEST_BYTES_MAX,
  SUBSCRIPTION_TOPICS_MAX,
} from "../../src/deliver/request.ts";

const bytes = (json: unknown) => new TextEncoder().encode(JSON.stringify(json));
const good = { id: "a", topics: ["t"] };
const subscribe = (more: object) => parseSubscribe(bytes({ ...good, ...more }));

test("parseSubscribe() reads every field", () => {
  const request = {
    id: "sub",
    topics: ["a.*", "b.>"],
    from: { offsets: { "rt/0": 5 } },
    consumer: "c.1",
    max_in_flight: 100,
    lanes: ["rt"],
  };
  expect(parseSubscribe(bytes(request))).toEqual({
    id: "sub",
    topics: ["a.*", "b.>"],
    from: { offsets: Object.assign(Object.create(null), { "rt/0": 5 }) },
    consumer: "c.1",
    maxInFlight: 100,
    lanes: ["rt"],
  });
  expect(subscribe({})).toEqual({ ...good, from: "latest" });
  expect(subscribe({ from: "earliest" })).toEqual({ ...good, from: "earliest" });
  expect(subscribe({ from: { time_us: 7 } })).toEqual({ ...good, from: { timeUs: 7 } });
});

test("parseSubscribe() refuses one below and one above each limit, and takes the limits", () => {
  const isGood = (more: object) => !(subscribe(more) instanceof BadRequest);
  expect([0, 1, 64, 65].map((length) => isGood({ id: "i".repeat(length) }))).toEqual([
    false,
    true,
    true,
    false,
  ]);
  // Bytes count, not characters.
  expect(isGood({ id: "ä".repeat(33) })).toBe(false);
  const topics = (length: number) => Array.from({ length }, () => "t");
  expect(
    [0, 1, SUBSCRIPTION_TOPICS_MAX, SUBSCRIPTION_TOPICS_MAX + 1].map((length) =>
      isGood({ topics: topics(length) })
    ),
  )
    .toEqual([false, true, true, false]);
  expect(
    [0, 1, MAX_IN_FLIGHT_MAX, MAX_IN_FLIGHT_MAX + 1, 1.5].map((max_in_flight) => isGood({ max_in_flight })),
  )
    .toEqual([false, true, true, false, false]);
  const offsets = (length: number) =>
    Object.fromEntries(Array.from({ length }, (_, index) => [`l/${index}`, 0]));
  expect([POSITIONS_MAX, POSITIONS_MAX + 1].map((length) => isGood({ from: { offsets: offsets(length) } })))
    .toEqual([true, false]);
  expect([-1, 0, 2 ** 53 - 1, 2 ** 53].map((offset) => isGood({ from: { offsets: { "l/0": offset } } })))
    .toEqual([false, true, true, false]);
});

test("parseSubscribe() and parseConfirm() refuse what is no request, and never throw", () => {
  const inputs = [
    "",
    "{",
    "null",
    "[]",
    "1",
    '"x"',
    "{}",
    '{"id": 1, "topics": ["t"]}',
    '{"id": "a", "topics": "t"}',
    '{"id": "a", "topics": [1]}',
    '{"id": "a", "topics": ["t"], "from": "sometime"}',
    '{"id": "a", "topics": ["t"], "from": null}',
    '{"id": "a", "topics": ["t"], "from": {}}',
    '{"id": "a", "topics": ["t"], "from": {"time_us": "1"}}',
    '{"id": "a", "topics": ["t"], "from": {"offsets": {}, "others": {"offsets": {}}}}',
    '{"id": "a", "topics": ["t"], "consumer": "../x"}',
    '{"id": "a", "topics": ["t"], "consumer": 1}',
    '{"id": "a", "topics": ["t"], "lanes": []}',
    '{"id": "a", "offsets": []}',
    '{"id": "a", "offsets": {"rt/0": null}}',
    "[".repeat(100_000),
  ];
  for (const input of inputs) {
    const payload = new TextEncoder().encode(input);
    expect(parseSubscribe(payload), input.slice(0, 60)).toBeInstanceOf(BadRequest);
    expect(parseConfirm(payload), input.slice(0, 60)).toBeInstanceOf(BadRequest);
  }
  expect(parseSubscribe(Uint8Array.of(0x22, 0xff, 0x22))).toBeInstanceOf(BadRequest);
  expect(parseSubscribe(new Uint8Array(REQUEST_BYTES_MAX + 1))).toBeInstanceOf(BadRequest);
});

test("parseConfirm() reads positions, whatever the shards are called", () => {
  const confirm = parseConfirm(
    new TextEncoder().encode('{"id": "a", "offsets": {"rt/0": 3, "__proto__": 4}}'),
  );
  expect(confirm).not.toBeInstanceOf(BadRequest);
  expect(confirm instanceof BadRequest ? [] : Object.entries(confirm.offsets)).toEqual([["rt/0", 3], [
    "__proto__",
    4,
  ]]);
});
