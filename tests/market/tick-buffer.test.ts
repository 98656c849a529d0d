/** The buffer of ticks against a naive list, by strategy. */
import { expect, test } from "bun:test";
import { BUFFER_STRATEGIES, TickBuffer, type TickKind } from "../../src/market/tick-buffer.ts";
import { withRandom } from "../support/seed.ts";

interface Tick {
  readonly kind: TickKind;
  readonly us: number;
  readonly json: string;
}

/** What the buffer must hold, the plain way. */
function expected(list: Tick[], strategy: string, countMax: number, tick: Tick): Tick[] {
  if (list.length < countMax) return [...list, tick];
  if (strategy === "fifo") return [...list.slice(1), tick];
  if (strategy !== "priority") return list;
  const quote = list.findIndex(({ kind }) => kind === "quote");
  if (quote === -1 && tick.kind === "quote") return list;
  return [...list.toSpliced(Math.max(0, quote), 1), tick];
}

for (const strategy of BUFFER_STRATEGIES) {
  test(`${strategy}: holds what a plain list holds`, async () => {
    await withRandom((random) => {
      const countMax = 40;
      const ageMaxUs = 500;
      const buffer = new TickBuffer({ countMax, ageMaxUs, strategy, compress: false });
      let list: Tick[] = [];
      let us = 0;
      for (let step = 0; step < 3000; step++) {
        us += random.chance(0.01) ? 300 : random.between(0, 5);
        const tick: Tick = { kind: random.chance(0.5) ? "trade" : "quote", us, json: `{"n":${step}}` };
        list = expected(list.filter((one) => one.us >= us - ageMaxUs), strategy, countMax, tick);
        buffer.add(tick.kind, us, tick.json);
        const from = us - random.below(600);
        const to = us + 1 - random.below(20);
        const limit = random.between(1, 60);
        const kind = random.pick([undefined, "trade", "quote"] as const);
        const wanted = list.filter((one) =>
          one.us >= from && one.us < to && (kind === undefined || one.kind === kind)
        );
        expect(buffer.range(from, to, limit, kind)).toEqual(wanted.slice(-limit).map(({ json }) => json));
        expect(buffer.count).toBe(list.length);
      }
    });
  });
}

test("compressed, a buffer keeps the newest ticks, never more than it may", () => {
  const buffer = new TickBuffer({ countMax: 2000, ageMaxUs: 1e9, strategy: "fifo", compress: true });
  for (let n = 0; n < 10_000; n++) {
    buffer.add("trade", n, `{"n":${n}}`);
    expect(buffer.count).toBeLessThanOrEqual(2000);
  }
  const newest = buffer.range(0, Infinity, 1500).map((json) => JSON.parse(json).n);
  expect(newest).toEqual(Array.from({ length: 1500 }, (_, at) => 8500 + at));
  expect(buffer.range(9000, 9003, 10)).toEqual(['{"n":9000}', '{"n":9001}', '{"n":9002}']);
});
