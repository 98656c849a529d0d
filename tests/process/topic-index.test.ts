import { expect, test } from "bun:test";
import { compilePatterns } from "../../src/event/topic.ts";
import { TopicIndex } from "../../src/process/topic-index.ts";
import { TopicPlans } from "../../src/process/topic-plans.ts";
import { type Random, withRandom } from "../support/seed.ts";

function randomName(random: Random, tokens: readonly [string, ...string[]]): string {
  let name = random.pick(["a", "b", "*"]);
  if (!tokens.includes("*")) name = random.pick(["a", "b"]);
  for (let depth = random.below(4); depth > 0; depth--) name += random.pick([".", "/"]) + random.pick(tokens);
  return name;
}

test("find() gives those that match, in their order, as one matcher for each does", () =>
  withRandom((random) => {
    for (let round = 0; round < 200; round++) {
      const things = Array.from({ length: random.below(30) }, (_, number) => ({
        number,
        topics: Array.from({ length: random.between(1, 3) }, () => {
          const name = randomName(random, ["a", "b", "*", "c*"]);
          return random.chance(0.2) ? `${name}.>` : random.chance(0.05) ? ">" : name;
        }),
      }));
      const index = new TopicIndex(things, ({ topics }) => topics);
      for (let look = 0; look < 30; look++) {
        const topic = randomName(random, ["a", "b", "c*"]);
        const expected = things.filter(({ topics }) => compilePatterns(topics).firstMatchOf(topic) >= 0);
        expect([topic, index.find(topic)]).toEqual([topic, expected]);
      }
    }
  }));

test("plans are made once a topic as long as there is room, and are right beyond it", () =>
  withRandom((random) => {
    for (const topicsMax of [1, 3, 1000]) {
      let made = 0;
      const plans = new TopicPlans((topic) => {
        made++;
        return `plan of ${topic}`;
      }, topicsMax);
      for (let look = 0; look < 2000; look++) {
        const topic = `topic-${random.below(50)}`;
        const bytes = Buffer.from(`__${topic}__`);
        expect(plans.find(bytes, 2, bytes.length - 4)).toBe(`plan of ${topic}`);
      }
      if (topicsMax === 1000) expect(made).toBe(50);
      else expect(made).toBeGreaterThan(50);
    }
  }));
