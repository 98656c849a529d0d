import { expect, test } from "bun:test";
import { EventHandlers, namesOf, STREAMING_EVENTS } from "../../src/client/market/streaming-events.ts";
import { StreamingUtils } from "../../src/client/market/presets.ts";

const URL = "ws://127.0.0.1:8080/api/v1/subscribe";

test("the presets are valid and cost nothing unmeant; what is wrong is listed", () => {
  for (
    const make of [
      StreamingUtils.createForexConfig,
      StreamingUtils.createCryptoConfig,
      StreamingUtils.createHFTConfig,
    ]
  ) {
    const config = make(URL, ["EUR-USD"]);
    expect(StreamingUtils.validateConfig(config)).toEqual([]);
    expect(StreamingUtils.getPerformanceRecommendations(config)).toEqual([]);
  }
  const source = { id: "a", url: "http://x", reconnect: { initialMs: 10, maxMs: 5 } };
  expect(StreamingUtils.validateConfig({ sources: [source, { id: "a", url: URL }], reportMs: 0 })).toEqual([
    'source "a": "http://x" is no ws:// URL',
    'source "a": reconnect needs 0 < initialMs <= maxMs',
    'two sources are called "a"',
    "reportMs must be above 0",
  ]);
  expect(StreamingUtils.getPerformanceRecommendations({ sources: [{ id: "a", url: URL }], reportMs: 10 }))
    .toEqual([
      'source "a" takes every symbol; name those that are shown',
      "reportMs 10: nobody reads ten reports a second",
    ]);
});

test("namesOf() names every event of the market that has one", () => {
  const integrity = (event: string) => namesOf({ kind: "integrity", event }, false);
  expect(integrity("gap_detected")).toEqual(["gap_detected", "integrity_violation"]);
  expect(integrity("validation_error")).toEqual(["validation_error", "integrity_violation"]);
  expect(integrity("burst_overflow")).toEqual(["throttled_message"]);
  expect(integrity("quality_alert_raised")).toEqual(["data_quality_alert", "quality_degraded"]);
  expect(integrity("book_state")).toEqual([]);
  expect(namesOf({ kind: "book_snapshot" }, true)).toEqual(["order_book_created", "order_book_snapshot"]);
  expect(namesOf({ kind: "book_delta" }, false)).toEqual(["order_book_updated"]);
  expect(namesOf({ kind: "trade" }, false)).toEqual([]);
});

test("a handler is called until it is taken away", () => {
  const handlers = new EventHandlers();
  const told: string[] = [];
  for (const name of STREAMING_EVENTS) handlers.on(name, ({ message }) => told.push(message));
  const off = handlers.on("error", () => told.push("second"));
  handlers.tell("error", { source: "s", message: "one" });
  off();
  handlers.tell("error", { source: "s", message: "two" });
  expect(told).toEqual(["one", "second", "two"]);
});
