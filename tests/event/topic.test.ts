import { expect, test } from "bun:test";
import { compilePatterns, patternProblem, topicProblem } from "../../src/event/topic.ts";
import { withRandom } from "../support/seed.ts";

test.each(
  [
    ["a.b", "a.b", true],
    ["a.b", "a/b", false],
    ["a.b", "a.b.c", false],
    ["a.*", "a.b", true],
    ["a.*", "a.", true],
    ["a.*", "a", false],
    ["a.*", "a/b", false],
    ["a.*", "a.b.c", false],
    ["a.*", "a.b/c", false],
    ["*", "a", true],
    ["*", "a.b", false],
    ["*.b", "a.b", true],
    ["*.*", "a.b", true],
    ["*/*", "a.b", false],
    ["a.*.c", "a.b.c", true],
    ["a.*.c", "a.b.d", false],
    ["a.>", "a.b", true],
    ["a.>", "a.b.c", true],
    ["a.>", "a.b/c", true],
    ["a.>", "a", false],
    ["a.>", "a/b", false],
    ["a/>", "a/b.c", true],
    [">", "anything/at.all", true],
    ["a.*>", "a.b", false],
    ["a.*>", "a.*>", true],
    ["größe.*", "größe.°C", true],
  ] as const,
)("pattern %s and topic %s: %p", (pattern, topic, expected) => {
  const bytes = Buffer.from(`..${topic}..`);
  expect(compilePatterns([pattern]).matches(bytes, 2, bytes.length - 4)).toBe(expected);
});

test("firstMatch() answers the first pattern in the order given", () => {
  const matcher = compilePatterns(["a.b.c", "a.*.c", "a.>", ">", "a.b.c"]);
  expect(["a.b.c", "a.x.c", "a.x", "z"].map((topic) => matcher.firstMatchOf(topic))).toEqual([0, 1, 2, 3]);
  const reversed = compilePatterns([">", "a.b.c"]);
  expect(reversed.firstMatchOf("a.b.c")).toBe(0);
  expect(reversed.matchesAll).toBe(true);
  expect(compilePatterns(["a.>"]).matchesAll).toBe(false);
  expect(compilePatterns([]).firstMatchOf("a")).toBe(-1);
});

test("firstMatch() agrees with a naive matcher on random patterns and topics", () =>
  withRandom((random) => {
    const tokens = ["a", "b", "c", "", "ab"];
    const make = (wild: boolean) => {
      let text = "";
      const count = 1 + random.below(4);
      for (let index = 0; index < count; index++) {
        const separator = index === 0 ? "" : random.below(2) === 0 ? "." : "/";
        const special = wild && random.below(3) === 0;
        const last = index === count - 1;
        text += separator +
          (special ? (last && random.below(2) === 0 ? ">" : "*") : tokens[random.below(tokens.length)]);
      }
      return text === "" ? "a" : text;
    };
    for (let round = 0; round < 300; round++) {
      const patterns = Array.from({ length: 1 + random.below(30) }, () => make(true));
      const matcher = compilePatterns(patterns);
      for (let probe = 0; probe < 30; probe++) {
        const topic = make(false);
        const expected = patterns.findIndex((pattern) => naive(pattern, topic));
        if (matcher.firstMatchOf(topic) !== expected) {
          throw new Error(`"${topic}" in ${JSON.stringify(patterns)} should be ${expected}`);
        }
      }
    }
  }));

function naive(pattern: string, topic: string): boolean {
  const source = pattern.split(/([./])/).map((piece) => {
    if (piece === "*") return "[^./]*";
    if (piece === ">") return ".*";
    return piece.replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&");
  }).join("");
  return new RegExp(`^${source}$`, "s").test(topic);
}

test("patternProblem() and topicProblem() name the fault", () => {
  expect(patternProblem("a.>.b")).toContain('">" before its last token');
  expect(patternProblem("")).toContain("Pattern has 0 bytes");
  expect(patternProblem("a.*.>")).toBeUndefined();
  expect(topicProblem("x".repeat(255))).toBeUndefined();
  expect(topicProblem("x".repeat(256))).toContain("256 bytes");
  expect(() => compilePatterns([">.a"])).toThrow(RangeError);
});
