import { expect, test } from "bun:test";
import { didYouMean, editDistance, nearest } from "../../src/config/suggest.ts";

test("editDistance() counts insertions, deletions, replacements and swaps of neighbours", () => {
  const pairs = [
    ["port", "port"],
    ["prot", "port"],
    ["prt", "port"],
    ["poort", "port"],
    ["pont", "port"],
    [
      "",
      "abc",
    ],
    ["abc", ""],
    ["ca", "abc"],
  ] as const;
  expect(pairs.map(([from, to]) => editDistance(from, to))).toEqual([0, 1, 1, 1, 1, 3, 3, 3]);
});

test("nearest() ignores spelling style and offers all that are equally near", () => {
  expect(nearest("max_connections", ["maxConnections", "max_age"])).toEqual(["maxConnections"]);
  expect(nearest("hort", ["host", "port", "enable"])).toEqual(["host", "port"]);
  expect(nearest("xyzzy", ["host", "port", "enable"])).toEqual([]);
});

test("didYouMean() is empty when nothing is near", () => {
  expect(didYouMean("drop_odl", ["block", "drop_old", "drop_new"])).toBe('; did you mean "drop_old"?');
  expect(didYouMean("zzz", ["block"])).toBe("");
});
