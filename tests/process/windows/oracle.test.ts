/** Windows against a brute-force oracle: shuffled, late and repeated input, restarts in between. */
import { expect, test } from "bun:test";
import type { Value } from "../../../src/process/windows/aggregates.ts";
import { type PaneResult, WindowOperator } from "../../../src/process/windows/operator.ts";
import type { AggregateSpec, ShapeSpec, WindowSpec } from "../../../src/process/windows/spec.ts";

const SEEDS = Number(process.env["ORACLE_SEEDS"] ?? 1000);
const OUT_OF_ORDER_MS = 50;

const AGGREGATES: readonly AggregateSpec[] = [
  { name: "n", kind: "count", parameter: 0 },
  { name: "sum", kind: "sum", parameter: 0, value: "v" },
  { name: "min", kind: "min", parameter: 0, value: "v" },
  { name: "max", kind: "max", parameter: 0, value: "v" },
  { name: "avg", kind: "avg", parameter: 0, value: "v" },
  { name: "first", kind: "first", parameter: 0, value: "v" },
  { name: "last", kind: "last", parameter: 0, value: "v" },
  { name: "stddev", kind: "stddev", parameter: 0, value: "v" },
  { name: "p90", kind: "percentile", parameter: 90, value: "v" },
  { name: "distinct", kind: "distinct", parameter: 0, value: "v" },
  { name: "top", kind: "top", parameter: 2, value: "v" },
];

interface Event {
  readonly timeUs: number;
  readonly key: string;
  readonly value: number;
}

/** A small generator (mulberry32), so that a seed is all a failure needs. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function specOf(shape: ShapeSpec, lateMs: number, emit: WindowSpec["emit"]): WindowSpec {
  return {
    name: "w",
    topics: [">"],
    shape,
    aggregates: AGGREGATES,
    outOfOrderMs: OUT_OF_ORDER_MS,
    idleMs: 1000,
    lateMs,
    emit,
    intervalMs: 100,
    topic: "window.w",
    priority: 2,
    keysMax: 1000,
  };
}

/** Events in the order of arrival: each at most `disorderMs` behind the newest before it. Times are unique. */
function arrivals(next: () => number, count: number, disorderMs: number): Event[] {
  const used = new Set<number>();
  const events: Event[] = [];
  let now = 1_000_000_000;
  for (let index = 0; index < count; index++) {
    now += Math.floor(next() * 40_000);
    let timeUs = now - Math.floor(next() * disorderMs * 1000);
    while (used.has(timeUs)) timeUs++;
    used.add(timeUs);
    events.push({ timeUs, key: `k${Math.floor(next() * 3)}`, value: Math.floor(next() * 100) - 20 });
  }
  return events;
}

/** What a window over these events comes to, computed in the plainest way. */
function resultOf(events: readonly Event[]): Record<string, unknown> {
  const byTime = [...events].sort((a, b) => a.timeUs - b.timeUs);
  const values = events.map(({ value }) => value);
  const sum = values.reduce((a, b) => a + b, 0);
  const mean = sum / values.length;
  const squares = values.reduce((total, value) => total + (value - mean) ** 2, 0);
  const counts = new Map<string, number>();
  for (const value of values) counts.set(String(value), (counts.get(String(value)) ?? 0) + 1);
  return {
    n: values.length,
    sum,
    min: Math.min(...values),
    max: Math.max(...values),
    avg: mean,
    first: byTime[0]?.value,
    last: byTime.at(-1)?.value,
    stddev: values.length < 2 ? null : Math.sqrt(squares / (values.length - 1)),
    distinct: new Set(values).size,
    top: [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, 2)
      .map(([value, count]) => ({ value, count })),
  };
}

/** Windows of a shape over all events: `key start end` → events. */
function group(shape: ShapeSpec, events: readonly Event[]): Map<string, Event[]> {
  const groups = new Map<string, Event[]>();
  const put = (key: string, startUs: number, endUs: number, event: Event) => {
    const name = `${key} ${startUs} ${endUs}`;
    groups.set(name, [...groups.get(name) ?? [], event]);
  };
  if (shape.kind === "session") {
    for (const key of new Set(events.map((event) => event.key))) {
      const own = events.filter((event) => event.key === key).sort((a, b) => a.timeUs - b.timeUs);
      let session: Event[] = [];
      const close = () => {
        const [first] = session;
        const last = session.at(-1);
        if (first === undefined || last === undefined) return;
        for (const event of session) put(key, first.timeUs, last.timeUs + shape.gapMs * 1000, event);
      };
      for (const event of own) {
        const last = session.at(-1);
        if (last !== undefined && event.timeUs - last.timeUs >= shape.gapMs * 1000) {
          close();
          session = [];
        }
        session.push(event);
      }
      close();
    }
    return groups;
  }
  if (shape.kind === "count") throw new RangeError("Count windows depend on the order");
  const sizeUs = shape.sizeMs * 1000;
  const everyUs = shape.kind === "hopping" ? shape.everyMs * 1000 : sizeUs;
  for (const event of events) {
    for (let startUs = 0; startUs <= event.timeUs; startUs += everyUs) {
      if (startUs + sizeUs > event.timeUs) put(event.key, startUs, startUs + sizeUs, event);
    }
  }
  return groups;
}

/** Runs the operator; `restart` says after which events it is replaced by one with its saved state. */
function run(
  spec: WindowSpec,
  events: readonly Event[],
  restart: (index: number) => boolean,
): { results: Map<string, PaneResult>; late: Event[]; told: number } {
  const results = new Map<string, PaneResult>();
  const late: Event[] = [];
  let told = 0;
  const take = (result: PaneResult) => {
    const name = `${result.key} ${result.startUs} ${result.endUs}`;
    expect(result.revision).toBeGreaterThan(results.get(name)?.revision ?? 0);
    for (const { startUs, endUs } of result.replaces) {
      expect(results.delete(`${result.key} ${startUs} ${endUs}`)).toBeTrue();
    }
    results.set(name, result);
    told++;
  };
  let operator = new WindowOperator(spec, take);
  let nowUs = 5_000_000_000;
  for (const [index, event] of events.entries()) {
    nowUs += 1000;
    const values: Value[] = AGGREGATES.map(({ kind }) => kind === "count" ? 1 : event.value);
    if (operator.add(0, event.timeUs, event.key, values, nowUs) === "late") late.push(event);
    if (index % 7 === 0) operator.flush(nowUs);
    if (restart(index)) {
      const saved: unknown = JSON.parse(JSON.stringify(operator.save()));
      operator = new WindowOperator(spec, take);
      operator.load(saved, nowUs);
    }
  }
  // Nothing comes any more: the clock alone closes everything.
  nowUs += 3_600_000_000;
  operator.pass(nowUs);
  operator.flush(nowUs);
  expect(operator.keyCount).toBe(0);
  return { results, late, told };
}

function expectEqual(results: Map<string, PaneResult>, expected: Map<string, Event[]>, seed: number): void {
  const place = `seed ${seed}`;
  expect([place, ...[...results.keys()].sort()]).toEqual([place, ...[...expected.keys()].sort()]);
  for (const [name, events] of expected) {
    const { p90, stddev, ...values } = results.get(name)?.values ?? {};
    const { stddev: wanted, ...exact } = resultOf(events);
    expect([place, name, values]).toEqual([place, name, exact]);
    if (wanted === null) expect(stddev).toBeNull();
    else expect(Number(stddev)).toBeCloseTo(Number(wanted), 9);
    const sorted = events.map(({ value }) => value).sort((a, b) => a - b);
    const nearest = sorted[Math.ceil(0.9 * sorted.length) - 1] ?? NaN;
    const slack = Math.abs(nearest) * 0.011 + 1e-9;
    expect([place, name, Math.abs(Number(p90) - nearest) <= slack, p90]).toEqual([place, name, true, p90]);
  }
}

const SHAPES: readonly ShapeSpec[] = [
  { kind: "tumbling", sizeMs: 100 },
  { kind: "hopping", sizeMs: 120, everyMs: 40 },
  { kind: "hopping", sizeMs: 100, everyMs: 30 },
  { kind: "session", gapMs: 30 },
];

test(`results equal the oracle when events come out of order within the bound (${SEEDS} seeds)`, () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const next = random(seed);
    const shape = SHAPES[seed % SHAPES.length] ?? { kind: "tumbling", sizeMs: 100 };
    const emit = (["close", "update", "interval"] as const)[seed % 3] ?? "close";
    const spec = specOf(shape, 0, emit);
    const events = arrivals(next, 20 + Math.floor(next() * 60), OUT_OF_ORDER_MS - 1);
    const { results, late, told } = run(spec, events, () => next() < 0.1);
    expect(late).toEqual([]);
    expectEqual(results, group(shape, events), seed);
    if (spec.emit === "close") expect(told).toBe(results.size);
    // Whoever was told before is also told that this is the end.
    expect([seed, [...results.values()].filter(({ isClosed }) => !isClosed)]).toEqual([seed, []]);
  }
});

test(`what comes too late is told as late, and the rest equals the oracle (${SEEDS} seeds)`, () => {
  let lateCount = 0;
  for (let seed = 0; seed < SEEDS; seed++) {
    const next = random(seed + 1_000_000);
    const shape = SHAPES[seed % 3] ?? { kind: "tumbling", sizeMs: 100 };
    const lateMs = seed % 2 === 0 ? 0 : 60;
    const spec = specOf(shape, lateMs, "close");
    const events = arrivals(next, 20 + Math.floor(next() * 60), OUT_OF_ORDER_MS * 8);
    const { results, late } = run(spec, events, () => next() < 0.1);
    // By definition: an event counts in those of its windows whose lateness is not over when it comes.
    const expected = new Map<string, Event[]>();
    const expectedLate: Event[] = [];
    let newestUs = -Infinity;
    for (const event of events) {
      const watermarkUs = newestUs - OUT_OF_ORDER_MS * 1000;
      let isTaken = false;
      for (const [name] of group(shape, [event])) {
        const endUs = Number(name.split(" ")[2]);
        if (endUs + lateMs * 1000 <= watermarkUs) continue;
        expected.set(name, [...expected.get(name) ?? [], event]);
        isTaken = true;
      }
      if (!isTaken) expectedLate.push(event);
      newestUs = Math.max(newestUs, event.timeUs);
    }
    expect([seed, late]).toEqual([seed, expectedLate]);
    expectEqual(results, expected, seed);
    lateCount += late.length;
  }
  expect(lateCount).toBeGreaterThan(SEEDS);
});

test("count windows close after so many events of a key, numbered by their revision", () => {
  const told: PaneResult[] = [];
  const operator = new WindowOperator(
    { ...specOf({ kind: "count", count: 3 }, 0, "close"), aggregates: AGGREGATES.slice(0, 2) },
    (result) => told.push(result),
  );
  for (let index = 0; index < 8; index++) operator.add(0, 1000 + index, "a", [1, index], 0);
  expect(told.map(({ count, revision, values }) => [count, revision, values])).toEqual([
    [3, 1, { n: 3, sum: 3 }],
    [3, 2, { n: 3, sum: 12 }],
  ]);
});

test("a count window that is full leaves room for other keys, and goes on with its number", () => {
  const told: PaneResult[] = [];
  const spec = { ...specOf({ kind: "count", count: 2 }, 0, "close"), keysMax: 1 };
  let operator = new WindowOperator(spec, (result) => told.push(result));
  const values: Value[] = AGGREGATES.map(() => 1);
  for (const key of ["a", "a", "b", "b"]) operator.add(0, 1000, key, values, 0);
  expect(operator.keyCount).toBe(0);
  const saved: unknown = JSON.parse(JSON.stringify(operator.save()));
  operator = new WindowOperator(spec, (result) => told.push(result));
  operator.load(saved, 0);
  for (const key of ["b", "b", "a", "a"]) operator.add(0, 1000, key, values, 0);
  // The number of "a" was forgotten: only so many are kept.
  expect(told.map(({ key, revision }) => [key, revision])).toEqual([["a", 1], ["b", 1], ["b", 2], ["a", 1]]);
});

test("a session that grows after it was told takes the place of what was told", () => {
  const told: PaneResult[] = [];
  const spec = specOf({ kind: "session", gapMs: 10 }, 1_000, "close");
  const operator = new WindowOperator({ ...spec, outOfOrderMs: 0 }, (result) => told.push(result));
  const add = (timeUs: number) => operator.add(0, timeUs, "k", AGGREGATES.map(() => 1), 0);
  for (const timeUs of [0, 30_000, 100_000]) add(timeUs);
  add(9_000);
  add(18_000);
  add(24_000);
  operator.flush(0);
  const spans = told.map(({ startUs, endUs, replaces }) => [startUs, endUs, replaces]);
  expect(spans).toEqual([
    [0, 10_000, []],
    [30_000, 40_000, []],
    [0, 40_000, [{ startUs: 30_000, endUs: 40_000 }, { startUs: 0, endUs: 10_000 }]],
  ]);
  expect(told.at(-1)?.count).toBe(5);
});

test("add() refuses new keys beyond the limit and goes on with known ones", () => {
  const spec = { ...specOf({ kind: "tumbling", sizeMs: 100 }, 0, "close"), keysMax: 2 };
  const operator = new WindowOperator(spec, () => {});
  const values: Value[] = AGGREGATES.map(() => 1);
  expect(["a", "b", "c", "a"].map((key) => operator.add(0, 1000, key, values, 0))).toEqual([
    "added",
    "added",
    "over_limit",
    "added",
  ]);
  expect(operator.overLimitCount).toBe(1);
});

test("a slow shard holds the watermark until it is idle", () => {
  const told: PaneResult[] = [];
  const spec = { ...specOf({ kind: "tumbling", sizeMs: 100 }, 0, "close"), outOfOrderMs: 0 };
  const operator = new WindowOperator(spec, (result) => told.push(result));
  const values: Value[] = AGGREGATES.map(() => 1);
  operator.add(0, 10_000, "a", values, 0);
  operator.add(1, 20_000, "a", values, 0);
  operator.add(1, 250_000, "a", values, 10);
  expect(operator.watermarkUs).toBe(10_000);
  operator.add(1, 260_000, "a", values, 1_000_000);
  expect(operator.watermarkUs).toBe(260_000);
  expect(told.map(({ startUs, count }) => [startUs, count])).toEqual([[0, 2]]);
});
