/** Rules with state against a naive interpreter that looks through all that ever happened. */
import { expect, test } from "bun:test";
import type { StateSpec } from "../../../src/process/rules/spec.ts";
import { type Random, withRandom } from "../../support/seed.ts";
import { ProcessorRig, type Received, ruleOf } from "../processor-rig.ts";

const ROUNDS = 300;
const EVENTS = 120;

/** An event of the trial: its kind and value decide what rules make of it. */
interface Moment {
  readonly atUs: number;
  readonly key: string;
  readonly kind: string;
  readonly value: number;
}

/** What fired: with which event (its number), or for which silence. */
type Fired = string;

function randomState(random: Random): StateSpec {
  const withinMs = random.between(1, 40);
  switch (random.below(4)) {
    case 0:
      return { kind: "rate", count: random.between(2, 5), withinMs };
    case 1:
      return { kind: "absence", forMs: withinMs };
    case 2: {
      const steps = Array.from(
        { length: random.between(2, 4) },
        () => `payload.kind == "${random.pick(["a", "b", "c"])}"`,
      );
      return { kind: "sequence", steps, withinMs };
    }
    default: {
      const above = random.between(40, 90);
      return { kind: "threshold", value: "payload.value", above, below: random.between(0, above) };
    }
  }
}

function randomMoments(random: Random): Moment[] {
  let atUs = 1_000_000;
  return Array.from({ length: EVENTS }, () => {
    atUs += random.chance(0.2) ? 0 : random.below(12) * 1000;
    return {
      atUs,
      key: random.pick(["x", "y", "z"]),
      kind: random.pick(["a", "b", "c", "d"]),
      value: random.below(100),
    };
  });
}

/** By definition, from the whole history of one key; nothing is remembered but when it last fired. */
function naive(spec: StateSpec, history: readonly Moment[]): { at: number[]; silences: number[] } {
  const at: number[] = [];
  const silences: number[] = [];
  let from = 0;
  for (const [index, now] of history.entries()) {
    const since = history.slice(from, index + 1);
    let fires = false;
    if (spec.kind === "rate") {
      const recent = since.filter((moment) => now.atUs - moment.atUs <= spec.withinMs * 1000);
      fires = recent.length >= spec.count;
    } else if (spec.kind === "sequence") {
      fires = hasSequence(since, spec.steps.map((step) => step.split('"')[1] ?? ""), spec.withinMs * 1000);
    } else if (spec.kind === "threshold") {
      // It fires above; then not again before a value was below.
      const isFree = from === 0 || since.slice(0, -1).some((moment) => moment.value < spec.below);
      fires = now.value > spec.above && isFree;
    } else {
      const next = history[index + 1];
      if (next === undefined || next.atUs - now.atUs >= spec.forMs * 1000) silences.push(now.atUs);
    }
    if (!fires) continue;
    at.push(index);
    from = index + 1;
  }
  return { at, silences };
}

/** Whether some choice of events, the last of them the newest, matches the steps in time. */
function hasSequence(events: readonly Moment[], steps: readonly string[], withinUs: number): boolean {
  const last = events.at(-1);
  if (last === undefined || last.kind !== steps.at(-1)) return false;
  const search = (before: number, step: number, firstUs: number): boolean => {
    if (step < 0) return last.atUs - firstUs <= withinUs;
    for (let index = before - 1; index >= 0; index--) {
      const event = events[index];
      if (event?.kind === steps[step] && search(index, step - 1, event?.atUs ?? 0)) return true;
    }
    return false;
  };
  return search(events.length - 1, steps.length - 2, last.atUs);
}

function firedNaively(spec: StateSpec, moments: readonly Moment[]): Fired[] {
  const fired: Fired[] = [];
  for (const key of ["x", "y", "z"]) {
    const numbers = [...moments.keys()].filter((index) => moments[index]?.key === key);
    const history = numbers.map((index) => moments[index] ?? { atUs: 0, key, kind: "", value: 0 });
    const { at, silences } = naive(spec, history);
    for (const index of at) fired.push(`event ${numbers[index]}`);
    for (const sinceUs of silences) {
      fired.push(`${key} silent since ${new Date(sinceUs / 1000).toISOString()}`);
    }
  }
  return fired.sort();
}

test(`rate, absence, sequence and threshold fire as a naive interpreter does (${ROUNDS} rounds)`, () =>
  withRandom((random) => {
    const kinds = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round++) {
      const state = randomState(random);
      const moments = randomMoments(random);
      const rig = new ProcessorRig({
        rules: [ruleOf({
          name: "r",
          by: "key",
          state,
          publish: {
            topic: "out",
            payload:
              `has(payload.silent_since) ? key + " silent since " + payload.silent_since : "event " + id`,
          },
        })],
      });
      const events = moments.map(({ atUs, key, kind, value }, index): Received => ({
        topic: "in",
        id: String(index),
        key,
        payload: JSON.stringify({ kind, value }),
        receivedUs: atUs,
      }));
      const batchCount = random.pick([1, 3, 7, 50]);
      for (let at = 0; at < events.length;) {
        const next = Math.min(events.length, at + random.between(1, 40));
        rig.feed(events.slice(at, next), batchCount);
        at = next;
        if (random.chance(0.3)) expect(rig.restart(0)).toEqual([]);
      }
      rig.pass(1e15);
      const fired = rig.outputs.map(({ payload }) => payload).sort();
      expect([round, state, fired]).toEqual([round, state, firedNaively(state, moments)]);
      kinds.set(state.kind, (kinds.get(state.kind) ?? 0) + fired.length);
    }
    for (const kind of ["rate", "absence", "sequence", "threshold"]) {
      expect([kind, kinds.get(kind) ?? 0]).not.toEqual([kind, 0]);
    }
  }));

test("a silence is told with the time by which an event was due, however late anybody looks", () => {
  const rig = new ProcessorRig({
    rules: [ruleOf({
      name: "silent",
      by: "key",
      state: { kind: "absence", forMs: 30_000 },
      alert: { severity: "EMERGENCY", message: "{key} since {payload.silent_since}", cooldownMs: 0 },
    })],
  });
  const event = { topic: "beat", key: "k", payload: "1" };
  rig.feed([{ ...event, receivedUs: 1_000_000 }]);
  expect(rig.processor.dueUs).toBe(31_000_000);
  rig.pass(30_999_999);
  expect(rig.alerts).toEqual([]);
  rig.pass(99_000_000).pass(200_000_000);
  expect(rig.alerts.map(({ message, raisedUs, source, key }) => [message, raisedUs, source, key])).toEqual([
    ["k since 1970-01-01T00:00:01.000Z", 31_000_000, "", "k"],
  ]);
  expect(rig.processor.dueUs).toBe(Infinity);
});

test("a sequence goes on from its newest beginning, and other events in between do not matter", () => {
  const rig = new ProcessorRig({
    rules: [ruleOf({
      name: "s",
      state: { kind: "sequence", steps: ["payload == 1", "payload == 2", "payload == 3"], withinMs: 10 },
      publish: { topic: "out.{id}" },
      topics: ["in"],
    })],
  });
  const feed = (payload: string, ms: number) =>
    rig.feed([{ topic: "in", id: `${payload}@${ms}`, payload, receivedUs: ms * 1000 }]);
  for (const [payload, ms] of [["1", 0], ["2", 1], ["1", 5], ["x", 6], ["3", 8]] as const) feed(payload, ms);
  for (const [payload, ms] of [["2", 9], ["3", 10], ["1", 20], ["2", 25], ["3", 31]] as const) {
    feed(payload, ms);
  }
  expect(rig.outputs.map(({ topic }) => topic)).toEqual(["out.3@8"]);
});
