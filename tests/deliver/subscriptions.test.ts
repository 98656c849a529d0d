import { afterEach, expect, test } from "bun:test";
import type { Consumers } from "../../src/deliver/consumer-link.ts";
import { BadRequest, type Positions, type SubscriptionRequest } from "../../src/deliver/request.ts";
import { Subscriptions, SUBSCRIPTIONS_MAX } from "../../src/deliver/subscriptions.ts";
import { ShardTails } from "../../src/deliver/tail.ts";
import { createCounters, openCounters } from "../../src/metrics/counters.ts";
import { Histogram } from "../../src/metrics/histogram.ts";
import { SOURCE_COUNTERS } from "../../src/metrics/layout.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { readEventsFrames } from "./events-reader.ts";
import { LogRig } from "./log-rig.ts";

const open: { close(): void }[] = [];
afterEach(() => {
  for (const closeable of open.splice(0)) closeable.close();
});

/** A connection's subscriptions, and what they told their owner. */
function setUp(stored: Positions | null = null) {
  const folder = new TemporaryFolder("subscriptions");
  const rig = new LogRig(folder.root, { rt: 1 });
  const tails = new ShardTails(rig.infos, () => {});
  open.push(rig, tails, { close: () => folder.remove() });
  const told: string[] = [];
  const confirmed: [string, Positions][] = [];
  const consumers: Consumers = {
    position: () => Promise.resolve(stored),
    confirm: (name, offsets) => void confirmed.push([name, offsets]),
  };
  const counters = openCounters(createCounters(SOURCE_COUNTERS));
  const subscriptions = new Subscriptions({
    tails,
    meters: { counters, latencies: [Histogram.empty()], nowUs: () => 1 },
    consumers,
    onReady: () => told.push("ready"),
    onRefused: (id, problem) => told.push(`refused ${id}: ${problem.message}`),
    onCountChange: (by) => told.push(`count ${by}`),
  });
  open.push(subscriptions);
  const request = (id: string, more: Partial<SubscriptionRequest> = {}) =>
    subscriptions.subscribe({ id, topics: [">"], from: "earliest", ...more });
  const append = (payload: string) => rig.append(0, [{ receivedUs: 1, events: [{ topic: "t", payload }] }]);
  const read = () => {
    const target = new Uint8Array(1 << 20);
    const written = subscriptions.fill(target, 0, target.length);
    return readEventsFrames(target, written).flatMap(({ events }) =>
      events.map((event) => `${event.id} ${event.payload}`)
    );
  };
  return { subscriptions, told, confirmed, request, append, read };
}

/** Lets what `subscribe()` began come to its end. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("fill() serves all subscriptions of a connection", async () => {
  const { request, append, read, told, subscriptions } = setUp();
  append("1");
  expect([request("a"), request("b", { from: "latest" })]).toEqual([undefined, undefined]);
  await settle();
  append("2");
  expect(read().toSorted()).toEqual(["a 1", "a 2", "b 2"]);
  expect(subscriptions.hasMore).toBe(false);
  subscriptions.close();
  expect(told).toEqual(["count 1", "ready", "count 1", "ready", "count -2"]);
  expect(read()).toEqual([]);
});

test("subscribe() refuses an id twice and more than SUBSCRIPTIONS_MAX, and frees the id of a refused one", async () => {
  const { request, subscriptions, told } = setUp();
  expect(request("a")).toBeUndefined();
  expect(request("a")).toEqual(new BadRequest('Subscription "a" exists already'));
  expect(request("bad", { lanes: ["nope"] })).toBeUndefined();
  await settle();
  expect(told).toContain('refused bad: Lane "nope" does not exist');
  expect(request("bad")).toBeUndefined();
  for (let index = subscriptions.count; index < SUBSCRIPTIONS_MAX; index++) request(`more ${index}`);
  expect(request("one too many")).toBeInstanceOf(BadRequest);
});

test("a new durable consumer's beginning is stored at once; a known one goes on where it was", async () => {
  const fresh = setUp();
  fresh.append("1");
  fresh.request("a", { consumer: "c", from: "latest" });
  await settle();
  expect(fresh.confirmed).toEqual([["c", { "rt/0": 1 }]]);

  const known = setUp({ "rt/0": 1 });
  known.append("1");
  known.append("2");
  known.request("a", { consumer: "c", from: "latest" });
  await settle();
  expect(known.confirmed).toEqual([]);
  expect(known.read()).toEqual(["a 2"]);
  expect(known.subscriptions.confirm({ id: "a", offsets: { "rt/0": 2 } })).toBeUndefined();
  expect(known.confirmed).toEqual([["c", { "rt/0": 2 }]]);
  expect(known.subscriptions.confirm({ id: "b", offsets: {} })).toBeInstanceOf(BadRequest);
});

test("a connection that is gone before its consumer is known opens nothing", async () => {
  const { request, subscriptions, told } = setUp();
  request("a", { consumer: "c" });
  subscriptions.close();
  await settle();
  expect(told).toEqual([]);
});
