import { describe, expect, test } from "bun:test";
import { Group, type GroupEntry, type GroupMember, type GroupMode } from "../../src/deliver/group.ts";
import { withRandom } from "../support/seed.ts";

const FRAME = new Uint8Array(0);

function groupOf(mode: GroupMode, over: { leaseMs?: number; deliveriesMax?: number } = {}): Group {
  return new Group({ mode, leaseMs: 100, deliveriesMax: 3, windowCount: 100, ...over });
}

function fill(group: Group, count: number, keyOf: (offset: number) => number): void {
  for (let offset = 0; offset < count; offset++) {
    group.add({ shard: "a/0", offset, key: keyOf(offset), frame: FRAME, receivedUs: 0 });
  }
}

function taken(group: Group, member: GroupMember, countMax = 100, nowMs = 0): number[] {
  const offsets: number[] = [];
  group.take(member, countMax, nowMs, (entry) => offsets.push(entry.offset));
  return offsets;
}

const one: GroupMember = { name: "one", inFlightMax: 4 };
const two: GroupMember = { name: "two", inFlightMax: 4 };

describe("mode queue", () => {
  test("take() shares events out, each to one member, up to what it may hold", () => {
    const group = groupOf("queue");
    fill(group, 6, () => 0);
    expect(taken(group, one)).toEqual([0, 1, 2, 3]);
    expect(taken(group, two)).toEqual([4, 5]);
    expect(taken(group, one)).toEqual([]);
  });

  test("positions() stays below everything that is not done", () => {
    const group = groupOf("queue");
    fill(group, 4, () => 0);
    taken(group, one);
    expect(group.done(one, "a/0", 1)).toBe(true);
    expect(group.positions({ "a/0": 9 })).toEqual({ "a/0": 0 });
    group.done(one, "a/0", 0);
    expect(group.positions({ "a/0": 9 })).toEqual({ "a/0": 2 });
    group.done(one, "a/0", 2);
    group.done(one, "a/0", 3);
    expect(group.positions({ "a/0": 9 })).toEqual({ "a/0": 9 });
  });

  test("expire() ends a lease at its time, not before, and a late answer does not count", () => {
    const group = groupOf("queue");
    fill(group, 1, () => 0);
    taken(group, one);
    expect([group.expire(99), group.expire(100)]).toEqual([0, 1]);
    expect(group.done(one, "a/0", 0)).toBe(false);
    expect(taken(group, two, 1, 100)).toEqual([0]);
  });

  test("an event that fails its last delivery is dead, and done once it is buried", () => {
    const group = groupOf("queue", { deliveriesMax: 2 });
    fill(group, 1, () => 0);
    for (let attempt = 1; attempt <= 2; attempt++) {
      expect(taken(group, one)).toEqual([0]);
      expect(group.retry(one, "a/0", 0)).toBe(true);
    }
    expect(taken(group, one)).toEqual([]);
    const [letter] = group.dead();
    expect(letter).toMatchObject({ offset: 0, attempts: 2 });
    expect(group.positions({ "a/0": 1 })).toEqual({ "a/0": 0 });
    group.bury(letter as GroupEntry);
    expect(group.positions({ "a/0": 1 })).toEqual({ "a/0": 1 });
  });
});

describe("mode ordered", () => {
  test("a key that a member holds stays with it; others are free", () => {
    const group = groupOf("ordered");
    fill(group, 6, (offset) => offset % 2);
    expect(taken(group, one, 1)).toEqual([0]);
    expect(taken(group, two)).toEqual([1, 3, 5]);
    expect(taken(group, one)).toEqual([2, 4]);
  });

  test("a failed event takes back those after it, without blaming them", () => {
    const group = groupOf("ordered");
    fill(group, 3, () => 7);
    taken(group, one);
    group.retry(one, "a/0", 0);
    const attempts: [number, number][] = [];
    group.take(two, 9, 0, (entry) => attempts.push([entry.offset, entry.attempts]));
    expect(attempts).toEqual([[0, 2], [1, 1], [2, 1]]);
  });

  test("leave() frees the member's keys for the others", () => {
    const group = groupOf("ordered");
    fill(group, 3, () => 7);
    expect(taken(group, one, 2)).toEqual([0, 1]);
    expect(taken(group, two)).toEqual([]);
    group.leave(one);
    expect(taken(group, two)).toEqual([0, 1, 2]);
  });
});

for (const mode of ["queue", "ordered"] as const) {
  test(`members that come, go, fail and stall do every event of a ${mode} group`, () =>
    withRandom((random) => {
      const group = new Group({ mode, leaseMs: 50, deliveriesMax: 4, windowCount: 40 });
      const keys = Array.from({ length: 400 }, () => random.below(9));
      /** Naive: who holds each event, and which are done or dead. */
      const holder = new Map<number, GroupMember>();
      const ended = new Set<number>();
      const bury = () => {
        for (const letter of group.dead()) {
          group.bury(letter);
          ended.add(letter.offset);
        }
      };
      let members: GroupMember[] = [];
      let nowMs = 0;
      let added = 0;
      for (let step = 0; ended.size < keys.length; step++) {
        expect(step).toBeLessThan(200_000);
        nowMs += random.below(4);
        while (group.room > 0 && added < keys.length && random.below(8) > 0) {
          group.add({ shard: "a/0", offset: added, key: keys[added] as number, frame: FRAME, receivedUs: 0 });
          added++;
        }
        const late = group.expire(nowMs);
        // One whose last lease has ended is over: those after it may go out.
        bury();
        if (late > 0) {
          for (const [offset, member] of holder) {
            if (!group.holds(member, "a/0", offset)) holder.delete(offset);
          }
        }
        const choice = random.below(20);
        const member = members[random.below(Math.max(1, members.length))];
        if (choice === 0 || member === undefined) {
          if (members.length < 5) members.push({ name: `m${step}`, inFlightMax: 1 + random.below(6) });
        } else if (choice === 1) {
          members = members.filter((other) => other !== member);
          group.leave(member);
          for (const [offset, held] of holder) if (held === member) holder.delete(offset);
        } else if (choice < 10) {
          group.take(member, 1 + random.below(5), nowMs, ({ offset, attempts, key }) => {
            expect(holder.has(offset) || ended.has(offset)).toBe(false);
            expect(attempts).toBeLessThanOrEqual(4);
            if (mode === "ordered") {
              // Everything earlier of this key is over, or in the same hands.
              for (let earlier = 0; earlier < offset; earlier++) {
                if (keys[earlier] !== key || ended.has(earlier)) continue;
                expect(holder.get(earlier)).toBe(member);
              }
            }
            holder.set(offset, member);
          });
          expect(group.inFlight(member)).toBeLessThanOrEqual(member.inFlightMax);
        } else {
          const mine = [...holder].filter(([, held]) => held === member).map(([offset]) => offset);
          const offset = mine[random.below(Math.max(1, mine.length))];
          if (offset === undefined) continue;
          if (choice === 19) {
            expect(group.retry(member, "a/0", offset)).toBe(true);
            for (const other of mine) if (!group.holds(member, "a/0", other)) holder.delete(other);
          } else {
            expect(group.done(member, "a/0", offset)).toBe(true);
            holder.delete(offset);
            ended.add(offset);
          }
        }
        bury();
        let lowest = 0;
        while (ended.has(lowest)) lowest++;
        expect(group.positions({ "a/0": added })).toEqual({ "a/0": Math.min(lowest, added) });
      }
      expect(group.heldCount).toBe(0);
    }));
}

test("failures() tells what a restart must not forget, and a delivery under way has not failed", () => {
  const group = groupOf("queue");
  fill(group, 3, () => 0);
  taken(group, one);
  group.retry(one, "a/0", 1);
  expect(group.failures()).toEqual({ "a/0@1": 1 });
  taken(group, two);
  expect(group.failures()).toEqual({ "a/0@1": 1 });
  group.done(two, "a/0", 1);
  expect(group.failures()).toEqual({});
});

test("a group goes on counting where its earlier life ended, and what was dead then is dead", () => {
  const failures = { "a/0@1": 2, "a/0@2": 3, "a/0@7": 1 };
  const group = new Group({ mode: "queue", leaseMs: 100, deliveriesMax: 3, windowCount: 100, failures });
  fill(group, 3, () => 0);
  expect(group.dead().map(({ offset, attempts }) => [offset, attempts])).toEqual([[2, 3]]);
  const attempts: [number, number][] = [];
  group.take(one, 9, 0, (entry) => attempts.push([entry.offset, entry.attempts]));
  expect(attempts).toEqual([[0, 1], [1, 3]]);
  // That of an event which was not read again yet is kept.
  expect(group.failures()).toEqual(failures);
});
