import { expect, test } from "bun:test";
import { Caller } from "../../src/auth/caller.ts";
import { covers } from "../../src/auth/cover.ts";
import { parseGrants } from "../../src/auth/grants.ts";
import { TopicGate } from "../../src/auth/topic-gate.ts";
import { encodeFrame } from "../../src/event/encode.ts";
import { compilePatterns } from "../../src/event/topic.ts";
import { withRandom } from "../support/seed.ts";
import type { Random } from "../support/seed.ts";

test.each(
  [
    [">", "a.b", true],
    [">", ">", true],
    ["a.>", "a.b.c", true],
    ["a.>", "a.>", true],
    ["a.>", "a.*", true],
    ["a.>", "a", false],
    ["a.>", "a/>", false],
    ["a.>", ">", false],
    ["a.>", "*.>", false],
    ["a.*", "a.b", true],
    ["a.*", "a.*", true],
    ["a.*", "a.>", false],
    ["a.*", "a.b.c", false],
    ["a.*", "*.b", false],
    ["*.b", "a.b", true],
    ["*", "a", true],
    ["*", "a.b", false],
    ["a.b", "a.b", true],
    ["a.b", "a.*", false],
    [".>", ".a", true],
    ["a.*>", "a.*>", true],
  ] as const,
)("covers(%s, %s) is %p", (allowed, wanted, expected) => {
  expect(covers(allowed, wanted)).toBe(expected);
});

/** A matcher that is too simple to be wrong: tokens one by one. */
function naive(pattern: string, topic: string): boolean {
  const cut = (text: string) => {
    const list = [""];
    for (const letter of text) {
      if (letter === "." || letter === "/") list.push(letter);
      else list[list.length - 1] += letter;
    }
    return list;
  };
  const [wanted, given] = [cut(pattern), cut(topic)];
  for (const [index, piece] of wanted.entries()) {
    const other = given[index];
    if (other === undefined) return false;
    const separator = index === 0 ? "" : piece.slice(0, 1);
    if (index > 0 && other.slice(0, 1) !== separator) return false;
    const token = piece.slice(separator.length);
    if (token === ">") return true;
    if (token !== "*" && token !== other.slice(separator.length)) return false;
  }
  return wanted.length === given.length;
}

function randomTopic(random: Random, tokens: readonly [string, ...string[]]): string {
  let topic = random.pick(tokens);
  for (let more = random.below(4); more > 0; more--) topic += random.pick([".", "/"]) + random.pick(tokens);
  return topic;
}

function randomPattern(random: Random): string {
  const pattern = randomTopic(random, ["a", "b", "*", "ab"]);
  return random.chance(0.3) ? `${pattern}${random.pick([".", "/"])}>` : random.chance(0.05) ? ">" : pattern;
}

test("what covers() allows, no topic escapes; what it refuses, some topic would", () =>
  withRandom((random) => {
    for (let round = 0; round < 20_000; round++) {
      const [allowed, wanted] = [randomPattern(random), randomPattern(random)];
      // Every shape that `wanted` can take, with tokens that no pattern names.
      const topics = [".", "/"].flatMap((separator) =>
        ["q", `q${separator}r`].map((rest) => wanted.replaceAll("*", "q").replace(/>$/, rest))
      );
      const isCovered = topics.every((topic) => naive(allowed, topic));
      expect([allowed, wanted, covers(allowed, wanted)]).toEqual([allowed, wanted, isCovered]);
    }
  }));

test("a caller may exactly what a naive matcher says, by topic, by bytes and in a run of frames", () =>
  withRandom((random) => {
    for (let round = 0; round < 400; round++) {
      const patterns = Array.from({ length: random.below(4) }, () => randomPattern(random));
      const grants = parseGrants(patterns.map((pattern) => `publish:${pattern}`));
      if ("problem" in grants) throw new Error(grants.problem);
      const caller = new Caller({ name: "x", via: "token", grants, expiresMs: null, rateSlot: 0 });
      const topics = Array.from({ length: 40 }, () => randomTopic(random, ["a", "b", "ab", ""]))
        .filter((topic) => topic !== "");
      const expected = topics.map((topic) => patterns.some((pattern) => naive(pattern, topic)));
      expect(topics.map((topic) => caller.may("publish", topic))).toEqual(expected);
      expect(topics.map((topic) => caller.may("subscribe", topic))).toEqual(topics.map(() => false));

      const run = Buffer.concat(topics.map((topic) => encodeFrame({ topic, payload: "p" })));
      const gate = new TopicGate(compilePatterns(patterns));
      const passed: boolean[] = [];
      for (let at = 0; at < run.length;) {
        at = gate.pass(run, at, run.length);
        passed.push(...new Array<boolean>(gate.count).fill(true));
        if (at === run.length) break;
        passed.push(false);
        at += 4 + run.readUInt32BE(at);
      }
      expect(passed).toEqual(expected);
    }
  }));

test("parseGrants() takes scopes with and without patterns, and leaves words of others alone", () => {
  expect(parseGrants(["publish:a.>", "publish:b", "read", "openid", "admin", "admin:x", "subscribe"]))
    .toEqual({
      publish: ["a.>", "b"],
      subscribe: [">"],
      read: [">"],
      admin: true,
    });
  expect(parseGrants([])).toEqual({ publish: [], subscribe: [], read: [], admin: false });
  expect(parseGrants(["publish:a.>.b"])).toEqual({
    problem: 'scope "publish": Pattern "a.>.b" has ">" before its last token',
  });
  expect(parseGrants(["publish:"])).toMatchObject({ problem: expect.stringContaining("publish") });
  expect(parseGrants(Array.from({ length: 257 }, (_, index) => `read:t${index}`))).toEqual({
    problem: "more than 256 patterns",
  });
});
