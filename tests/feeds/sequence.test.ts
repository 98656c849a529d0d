import { expect, test } from "bun:test";
import {
  missingCount,
  SEQUENCE_RULES,
  type SequenceRuleName,
  type UpdateIds,
} from "../../src/ingest/feeds/sequence.ts";

function ids(firstId: number, lastId: number, previousId = NaN): UpdateIds {
  return { firstId, lastId, previousId };
}

const JOIN: [rule: SequenceRuleName, update: UpdateIds, snapshotId: number, verdict: string][] = [
  ["range", ids(95, 100), 100, "ignore"],
  ["range", ids(95, 101), 100, "apply"],
  ["range", ids(101, 105), 100, "apply"],
  ["range", ids(102, 105), 100, "gap"],
  ["previous", ids(90, 99, 89), 100, "ignore"],
  ["previous", ids(90, 100, 89), 100, "apply"],
  ["previous", ids(100, 105, 99), 100, "apply"],
  ["previous", ids(103, 105, 100), 100, "apply"],
  ["previous", ids(103, 105, 102), 100, "gap"],
  ["chained", ids(NaN, 8, 7), 7, "apply"],
  ["chained", ids(NaN, 9, 8), 7, "gap"],
  ["contiguous", ids(NaN, 7), 7, "ignore"],
  ["contiguous", ids(NaN, 8), 7, "apply"],
  ["contiguous", ids(NaN, 9), 7, "gap"],
  ["increasing", ids(NaN, 7), 7, "ignore"],
  ["increasing", ids(NaN, 8), 7, "apply"],
  ["none", ids(NaN, NaN), NaN, "apply"],
];
for (const [rule, update, snapshotId, verdict] of JOIN) {
  test(`${rule}: ${update.previousId}|${update.firstId}..${update.lastId} joins ${snapshotId}: ${verdict}`, () => {
    expect(SEQUENCE_RULES[rule].join(update, snapshotId)).toBe(verdict as "apply");
  });
}

const NEXT: [rule: SequenceRuleName, update: UpdateIds, last: UpdateIds, verdict: string][] = [
  ["range", ids(101, 104), ids(95, 100), "apply"],
  ["range", ids(95, 100), ids(95, 100), "ignore"],
  ["range", ids(102, 104), ids(95, 100), "gap"],
  ["previous", ids(120, 130, 100), ids(90, 100, 80), "apply"],
  ["previous", ids(90, 100, 80), ids(90, 100, 80), "ignore"],
  ["previous", ids(140, 150, 130), ids(90, 100, 80), "gap"],
  ["chained", ids(NaN, 100, 100), ids(NaN, 100, 99), "apply"], // nothing changed for a while
  ["chained", ids(NaN, 3, 100), ids(NaN, 100, 99), "apply"], // reset after maintenance
  ["chained", ids(NaN, 100, 99), ids(NaN, 100, 99), "ignore"],
  ["chained", ids(NaN, 102, 101), ids(NaN, 100, 99), "gap"],
  ["chained", ids(NaN, NaN, NaN), ids(NaN, NaN, NaN), "apply"], // before the fields existed
  ["contiguous", ids(NaN, 101), ids(NaN, 100), "apply"],
  ["contiguous", ids(NaN, 100), ids(NaN, 100), "ignore"],
  ["contiguous", ids(NaN, 102), ids(NaN, 100), "gap"],
  ["increasing", ids(NaN, 100), ids(NaN, 100), "apply"],
  ["increasing", ids(NaN, 99), ids(NaN, 100), "ignore"],
];
for (const [rule, update, last, verdict] of NEXT) {
  test(`${rule}: ${update.previousId}|${update.firstId}..${update.lastId} after ${last.lastId}: ${verdict}`, () => {
    expect(SEQUENCE_RULES[rule].next(update, last)).toBe(verdict as "apply");
  });
}

test("missingCount() counts the ids left out", () => {
  expect(missingCount(ids(104, 110), 100)).toBe(3);
  expect(missingCount(ids(NaN, 103), 100)).toBe(2);
  expect(missingCount(ids(NaN, NaN), NaN)).toBe(1);
});
