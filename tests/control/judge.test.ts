/** Which level follows from which figures: every edge, every key, and a naive judge on random figures. */
import { expect, test } from "bun:test";
import type { Figures } from "../../src/control/figures.ts";
import { Judge, type JudgeLimits } from "../../src/control/judge.ts";
import { type Level, LEVELS } from "../../src/control/levels.ts";
import { withRandom } from "../support/seed.ts";

const LIMITS: JudgeLimits = {
  maxQueueDepth: 5000,
  maxDropRatePercent: 2,
  maxLatencyMs: 100,
  minEventsForEvaluation: 1000,
  recoveryFactor: 0.8,
  maxUnhealthyCycles: 5,
  autoResume: true,
};

const QUIET: Figures = {
  events: 10_000,
  dropPercent: 0,
  queuePercent: 0,
  queue: "transactional/0",
  latencyMs: 1,
  isShedNeeded: false,
  isEmergencyNeeded: false,
};

function figures(given: Partial<Figures>): Figures {
  return { ...QUIET, ...given };
}

/** A judge that has reached a level, one check at a time. */
function judgeAt(level: Level, limits: JudgeLimits = LIMITS): Judge {
  const judge = new Judge(limits);
  const entering: Record<Level, Partial<Figures>> = {
    HEALTHY: {},
    ELEVATED: { queuePercent: 60 },
    DEGRADED: { queuePercent: 80 },
    CRITICAL: { queuePercent: 120 },
    EMERGENCY: { queuePercent: 200 },
  };
  for (let checks = 0; checks < LEVELS.indexOf(level); checks++) judge.check(figures(entering[level]));
  const reached = judge.check(figures(entering[level])).level;
  if (reached !== level) throw new Error(`${reached} instead of ${level}`);
  return judge;
}

const ENTRIES: readonly [Partial<Figures>, Level][] = [
  [{ queuePercent: 50 }, "HEALTHY"],
  [{ queuePercent: 50.1 }, "ELEVATED"],
  [{ queuePercent: 75 }, "ELEVATED"],
  [{ queuePercent: 75.1 }, "DEGRADED"],
  [{ queuePercent: 99.9 }, "DEGRADED"],
  [{ queuePercent: 100 }, "CRITICAL"],
  [{ queuePercent: 150 }, "CRITICAL"],
  [{ queuePercent: 150.1 }, "EMERGENCY"],
  [{ dropPercent: 1 }, "HEALTHY"],
  [{ dropPercent: 1.01 }, "ELEVATED"],
  [{ dropPercent: 2 }, "ELEVATED"],
  [{ dropPercent: 2.01 }, "DEGRADED"],
  [{ dropPercent: 3.99 }, "DEGRADED"],
  [{ dropPercent: 4 }, "CRITICAL"],
  [{ dropPercent: 9.99 }, "CRITICAL"],
  [{ dropPercent: 10 }, "EMERGENCY"],
  [{ latencyMs: 100 }, "HEALTHY"],
  [{ latencyMs: 100.1 }, "ELEVATED"],
  [{ latencyMs: 1e6 }, "ELEVATED"],
];

test.each(ENTRIES)("%o is %s", (given, level) => {
  const judge = new Judge(LIMITS);
  let reached: Level = "HEALTHY";
  // A remedy is tried before the next: three checks lead to the top.
  for (let check = 0; check < 3; check++) reached = judge.check(figures(given)).level;
  expect(reached).toBe(level);
});

test("from below DEGRADED a check leads to DEGRADED at most, then one level up", () => {
  const judge = new Judge(LIMITS);
  const levels = [1, 2, 3, 4].map(() => judge.check(figures({ dropPercent: 50 })).level);
  expect(levels).toEqual(["DEGRADED", "CRITICAL", "EMERGENCY", "EMERGENCY"]);
});

const EXITS: readonly [Level, Partial<Figures>, Level][] = [
  ["ELEVATED", { queuePercent: 40.1 }, "ELEVATED"],
  ["ELEVATED", { queuePercent: 39.9 }, "HEALTHY"],
  ["ELEVATED", { dropPercent: 0.81 }, "ELEVATED"],
  ["ELEVATED", { dropPercent: 0.79 }, "HEALTHY"],
  ["ELEVATED", { latencyMs: 80.1 }, "ELEVATED"],
  ["ELEVATED", { latencyMs: 79.9 }, "HEALTHY"],
  ["DEGRADED", { queuePercent: 60.1 }, "DEGRADED"],
  ["DEGRADED", { queuePercent: 59.9 }, "ELEVATED"],
  ["DEGRADED", {}, "HEALTHY"],
  ["CRITICAL", { queuePercent: 80 }, "CRITICAL"],
  ["CRITICAL", { queuePercent: 79.9 }, "DEGRADED"],
  ["CRITICAL", {}, "HEALTHY"],
  ["EMERGENCY", { queuePercent: 120.1 }, "EMERGENCY"],
  ["EMERGENCY", { queuePercent: 119.9 }, "CRITICAL"],
  ["EMERGENCY", { dropPercent: 8 }, "EMERGENCY"],
  ["EMERGENCY", { dropPercent: 7.9 }, "CRITICAL"],
  ["EMERGENCY", {}, "HEALTHY"],
];

test.each(EXITS)("%s with %o is left for %s", (from, given, to) => {
  expect(judgeAt(from).check(figures(given)).level).toBe(to);
});

test("figures that swing about a boundary cause one transition", () => {
  const judge = new Judge(LIMITS);
  const isNew = Array.from(
    { length: 100 },
    (_, check) => judge.check(figures({ queuePercent: check % 2 === 0 ? 50.2 : 49.8 })).isNew,
  );
  expect(isNew.filter(Boolean)).toHaveLength(1);
});

test("max_drop_rate moves every level of drops", () => {
  const levels = [2, 20].map((maxDropRatePercent) =>
    new Judge({ ...LIMITS, maxDropRatePercent }).check(figures({ dropPercent: 5 })).level
  );
  expect(levels).toEqual(["DEGRADED", "HEALTHY"]);
});

test("max_drop_rate 0 allows none at all", () => {
  const judge = new Judge({ ...LIMITS, maxDropRatePercent: 0 });
  expect(judge.check(figures({})).level).toBe("HEALTHY");
  expect(judge.check(figures({ dropPercent: 0.001 })).level).toBe("DEGRADED");
});

test("max_latency_ms decides what is slow", () => {
  const levels = [100, 500].map((maxLatencyMs) =>
    new Judge({ ...LIMITS, maxLatencyMs }).check(figures({ latencyMs: 300 })).level
  );
  expect(levels).toEqual(["ELEVATED", "HEALTHY"]);
});

test("with fewer events than min_events_for_evaluation only a full queue counts", () => {
  const few = { events: 999, dropPercent: 100, latencyMs: 1e6 };
  const level = (given: Partial<Figures>) => new Judge(LIMITS).check(figures(given)).level;
  expect([level({ ...few, queuePercent: 99 }), level({ ...few, queuePercent: 100 })])
    .toEqual(["HEALTHY", "DEGRADED"]);
  expect(level({ ...few, events: 1000 })).toBe("DEGRADED");
  expect(new Judge({ ...LIMITS, minEventsForEvaluation: 0 }).check(figures({ ...few, events: 1 })).level)
    .toBe("DEGRADED");
});

test("recovery_factor decides how far below its limit a level is left", () => {
  const levels = [0.5, 0.8, 1].map((recoveryFactor) =>
    judgeAt("ELEVATED", { ...LIMITS, recoveryFactor }).check(figures({ queuePercent: 35 })).level
  );
  expect(levels).toEqual(["ELEVATED", "HEALTHY", "HEALTHY"]);
});

test("max_unhealthy_cycles checks at DEGRADED lead to CRITICAL, and no further; recovery ends it", () => {
  const judge = new Judge({ ...LIMITS, maxUnhealthyCycles: 3 });
  const levels = Array.from({ length: 10 }, () => judge.check(figures({ queuePercent: 80 })).level);
  expect(levels).toEqual([
    ...Array<Level>(3).fill("DEGRADED"),
    ...Array<Level>(7).fill("CRITICAL"),
  ]);
  expect(judge.check(figures({ queuePercent: 65 })).level).toBe("CRITICAL");
  expect(judge.check(figures({ queuePercent: 55 })).level).toBe("ELEVATED");
  expect(judge.check(figures({ queuePercent: 80 })).level).toBe("DEGRADED");
});

test("without auto_resume actions outlast their level until reset()", () => {
  const judge = judgeAt("CRITICAL", { ...LIMITS, autoResume: false });
  const verdict = judge.check(figures({}));
  expect(verdict).toMatchObject({ level: "HEALTHY", acting: "CRITICAL" });
  expect(verdict.reasons).toEqual(["CRITICAL until resumed: auto_resume is off"]);
  judge.reset();
  expect(judge.check(figures({}))).toEqual({
    level: "HEALTHY",
    acting: "HEALTHY",
    isNew: false,
    reasons: [],
  });
});

test("with auto_resume actions end with their level", () => {
  expect(judgeAt("CRITICAL").check(figures({}))).toMatchObject({ level: "HEALTHY", acting: "HEALTHY" });
});

test("a level is kept while what it sheds would not fit in again", () => {
  expect(judgeAt("DEGRADED").check(figures({ isShedNeeded: true })).level).toBe("DEGRADED");
  expect(judgeAt("CRITICAL").check(figures({ isShedNeeded: true })).level).toBe("DEGRADED");
  expect(judgeAt("EMERGENCY").check(figures({ isEmergencyNeeded: true })).level).toBe("EMERGENCY");
  expect(new Judge(LIMITS).check(figures({ isShedNeeded: true })).level).toBe("HEALTHY");
});

test("relax() leaves a level by the figures of a part of an interval, and never enters one", () => {
  const judge = judgeAt("CRITICAL");
  expect(judge.wouldRelax(figures({ queuePercent: 85 }), 0.25)).toBe(false);
  // A quarter of the time has a quarter of the events: 250 are enough to be judged.
  expect(judge.wouldRelax(figures({ events: 250, dropPercent: 3.3 }), 0.25)).toBe(false);
  expect(judge.wouldRelax(figures({ events: 249, dropPercent: 3.3 }), 0.25)).toBe(true);
  expect(judge.relax(figures({ queuePercent: 61 }), 0.25)).toMatchObject({ level: "DEGRADED", isNew: true });
  expect(judge.relax(figures({ queuePercent: 500 }), 0.25)).toMatchObject({
    level: "DEGRADED",
    isNew: false,
  });
  expect(judge.relax(figures({ isShedNeeded: true }), 0.25)).toMatchObject({ level: "DEGRADED" });
  expect(judge.relax(figures({ events: 0 }), 0.25)).toMatchObject({ level: "HEALTHY", reasons: [] });
});

test("reasons say what is wrong, in the order of queue, drops, latency", () => {
  const judge = new Judge(LIMITS);
  const { reasons } = judge.check(figures({ queuePercent: 80, dropPercent: 3, latencyMs: 150 }));
  expect(reasons).toEqual([
    "queue of transactional/0 at 80 % of what may wait",
    "3.0 % of the events dropped",
    "latency p99 150 ms",
  ]);
});

/** The rules of docs/control.md, written down a second time, in the plainest way. */
function naiveLevel(given: Figures, before: number, unhealthy: number, limits: JudgeLimits): number {
  const limitsOf = (factor: number) => (level: number): boolean => {
    const drops = given.dropPercent > 0 && limits.maxDropRatePercent === 0
      ? Infinity
      : given.dropPercent === 0
      ? 0
      : given.dropPercent / limits.maxDropRatePercent;
    const isPatienceOver = unhealthy > limits.maxUnhealthyCycles;
    if (given.events < limits.minEventsForEvaluation) return level <= 3 && given.queuePercent >= 100 * factor;
    if (level === 4) return given.queuePercent > 150 * factor || drops >= 5 * factor;
    if (level === 3) {
      return given.queuePercent >= 100 * factor || drops >= 2 * factor ||
        (isPatienceOver && (given.queuePercent > 75 * factor || drops > factor));
    }
    if (level === 2) return given.queuePercent > 75 * factor || drops > factor;
    return given.queuePercent > 50 * factor || drops > 0.5 * factor ||
      given.latencyMs > limits.maxLatencyMs * factor;
  };
  const highest = (holds: (level: number) => boolean) => [4, 3, 2, 1].find((level) => holds(level)) ?? 0;
  const wanted = highest(limitsOf(1));
  if (wanted > before) return before < 2 ? Math.min(wanted, 2) : before + 1;
  let kept = highest(limitsOf(limits.recoveryFactor));
  if (given.isShedNeeded) kept = Math.max(kept, 2);
  if (given.isEmergencyNeeded) kept = 4;
  return Math.min(before, kept);
}

test("20,000 random figures are judged as the naive judge does, whatever the limits", async () => {
  await withRandom((random) => {
    for (let run = 0; run < 200; run++) {
      const limits: JudgeLimits = {
        maxQueueDepth: 1,
        maxDropRatePercent: random.pick([0, 0.5, 2, 10]),
        maxLatencyMs: random.pick([1, 100]),
        minEventsForEvaluation: random.pick([0, 500]),
        recoveryFactor: random.pick([0.25, 0.5, 1]),
        maxUnhealthyCycles: random.between(1, 4),
        autoResume: random.chance(0.5),
      };
      const judge = new Judge(limits);
      let before = 0;
      let acting = 0;
      let unhealthy = 0;
      for (let check = 0; check < 100; check++) {
        const given = figures({
          events: random.between(0, 1000),
          // Halves, quarters and whole numbers: the same in both, however it is divided.
          queuePercent: random.below(45) * 4.5,
          dropPercent: random.chance(0.5) ? 0 : random.below(64) / 4,
          latencyMs: random.pick([0.5, 1, 30, 60, 150]),
          isShedNeeded: random.chance(0.1),
          isEmergencyNeeded: random.chance(0.1),
        });
        const factor = limits.recoveryFactor;
        const isWarm = given.events >= limits.minEventsForEvaluation;
        const drops = given.dropPercent > limits.maxDropRatePercent * factor;
        const isBad = isWarm ? given.queuePercent > 75 * factor || drops : given.queuePercent >= 100 * factor;
        // "At DEGRADED or worse": the edges of CRITICAL and EMERGENCY lie within those of DEGRADED.
        unhealthy = isBad ? unhealthy + 1 : 0;
        before = naiveLevel(given, before, unhealthy, limits);
        acting = limits.autoResume ? before : Math.max(acting, before);
        const verdict = judge.check(given);
        expect([LEVELS.indexOf(verdict.level), LEVELS.indexOf(verdict.acting), given, limits])
          .toEqual([before, acting, given, limits]);
      }
    }
  });
});
