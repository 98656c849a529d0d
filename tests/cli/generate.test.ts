import { expect, test } from "bun:test";
import { PRESET_NAMES, PRESETS } from "../../cli/generate/presets.ts";
import { Random } from "../../cli/generate/random.ts";
import { eventProblem } from "../../src/event/encode.ts";
import { MAX_FRAME_BYTES_DEFAULT } from "../../src/event/frame.ts";

test("Random gives splitmix32's numbers for a seed", () => {
  const random = new Random(1);
  expect([1, 2, 3].map(() => random.next() * 2 ** 32)).toEqual(GOLDEN);
});

// The same steps in arbitrary precision, masked to 32 bits.
const GOLDEN = [1580013426, 350525680, 3524174333];

test.each(PRESET_NAMES.map((name) => [name] as const))(
  "%s: the same seed gives the same events, all valid",
  (name) => {
    const [one, two, other] = [9, 9, 10].map((seed) => PRESETS[name](new Random(seed)));
    let differs = false;
    for (let number = 0; number < 20_000; number++) {
      const [first, second, third] = [one, two, other].map((next) => next?.(number * 1000));
      expect(second).toEqual(first as NonNullable<typeof first>);
      if (!Bun.deepEquals(first, third)) differs = true;
      if (first === undefined) throw new Error("no event");
      const problem = eventProblem(
        { ...first, payload: JSON.stringify(first.payload) },
        MAX_FRAME_BYTES_DEFAULT,
      );
      expect(problem).toBeUndefined();
    }
    expect(differs).toBe(true);
  },
);

test("ecommerce: users, products, amounts and quantities spread over their ranges", () => {
  const next = PRESETS.ecommerce(new Random(3));
  const users = new Set<unknown>();
  const products = new Set<unknown>();
  const actions = new Set<unknown>();
  const types = new Map<string, number>();
  const amounts: number[] = [];
  const quantities = new Set<unknown>();
  for (let number = 0; number < 100_000; number++) {
    const { topic, payload } = next(number);
    types.set(topic, (types.get(topic) ?? 0) + 1);
    users.add(payload["userId"]);
    if (topic === "ecommerce.cartaction") actions.add(payload["action"]);
    if (topic !== "ecommerce.purchase") continue;
    products.add(payload["productId"]);
    amounts.push(Number(payload["amount"]));
    quantities.add(payload["quantity"]);
  }
  expect([...types.keys()].sort()).toEqual([
    "ecommerce.cartaction",
    "ecommerce.pageview",
    "ecommerce.purchase",
    "ecommerce.useractivity",
  ]);
  // Of 10,000 users, 100,000 draws leave out about one in 22,000; of 5,000 products, 15,000 draws leave out 5 %.
  expect(users.size).toBeGreaterThan(9_990);
  expect(products.size).toBeGreaterThan(4_600);
  expect([...actions].sort()).toEqual(["add", "remove", "update"]);
  expect([...quantities].sort()).toEqual([1, 2, 3, 4, 5]);
  expect(Math.min(...amounts)).toBeGreaterThanOrEqual(10);
  expect(Math.max(...amounts)).toBeLessThanOrEqual(510);
  const mean = amounts.reduce((sum, amount) => sum + amount, 0) / amounts.length;
  expect(Math.abs(mean - 260)).toBeLessThan(10);
});
