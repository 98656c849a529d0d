import { expect, test } from "bun:test";
import { Worker } from "node:worker_threads";
import {
  COMPLETION_COUNT_MAX,
  CompletionReader,
  CompletionWriter,
  createCompletions,
  STATUS_DROPPED,
  STATUS_DUPLICATE,
  STATUS_OK,
} from "../../src/queue/completions.ts";
import { createControl, STATE_DEAD, ThreadControl } from "../../src/queue/control.ts";
import { createDoorbell, Doorbell } from "../../src/queue/doorbell.ts";
import { createRing } from "../../src/queue/ring.ts";
import { VerdictSender } from "../../src/queue/verdicts.ts";

/** Starts a thread of `doorbell-peer.ts`. @returns Wake-ups that came by timeout. */
function peer(options: unknown): Promise<number> {
  const worker = new Worker(new URL("./doorbell-peer.ts", import.meta.url), { workerData: options });
  return new Promise((resolve, reject) => {
    worker.on("message", resolve);
    worker.on("error", reject);
  });
}

test("100,000 times there and back between two sleeping threads: no wake-up is lost", async () => {
  const rings = [createRing(4096), createRing(4096)];
  const doorbells = [createDoorbell(), createDoorbell()];
  const shared = { rings, doorbells, rounds: 100_000 };
  expect(await Promise.all([peer({ ...shared, me: 0 }), peer({ ...shared, me: 1 })])).toEqual([0, 0]);
}, 60_000);

test("ring() wakes only a sleeper, alarm() everybody", async () => {
  const memory = createDoorbell();
  const bell = new Doorbell(memory);
  const words = new Int32Array(memory);
  bell.ring();
  expect(words[0]).toBe(0);
  const ticket = bell.arm();
  bell.ring();
  bell.ring();
  expect(words[0]).toBe(1);
  expect(bell.waitAsync(ticket, 1000)).toBeUndefined();
  bell.alarm();
  expect(words[0]).toBe(2);
  const next = bell.arm();
  const waiting = bell.waitAsync(next, 60_000);
  bell.ring();
  expect(await waiting).toBe("ok");
});

test.each([0, 2 ** 31 - 5, 2 ** 32 - 5])(
  "completions arrive in order and whole, from position %d",
  (start) => {
    const memory = createCompletions(8);
    const control = new Int32Array(memory.control);
    control[0] = control[32] = start | 0;
    const writer = new CompletionWriter(memory);
    const reader = new CompletionReader(memory);
    for (let round = 0; round < 10; round++) {
      let offered = 0;
      while (
        writer.offer(0xfffe0001 | 0, STATUS_DUPLICATE, COMPLETION_COUNT_MAX, 2 ** 40 + offered, 2 ** 45, 3, 9)
      ) offered++;
      expect(offered).toBe(8);
      expect(reader.next()).toBe(false);
      expect([writer.publish(), writer.publish()]).toEqual([true, false]);
      for (let index = 0; index < 8; index++) {
        expect(reader.next()).toBe(true);
        expect(reader.current).toEqual({
          connection: 0xfffe0001,
          status: STATUS_DUPLICATE,
          count: COMPLETION_COUNT_MAX,
          firstSeq: 2 ** 40 + index,
          offset: 2 ** 45,
          shard: 3,
          detail: 9,
        });
      }
      expect(reader.next()).toBe(false);
      expect(writer.offer(1, STATUS_OK, 1, 1, -1, 0, 0)).toBe(false);
      reader.release();
    }
    expect(writer.offer(1, STATUS_DROPPED, 1, 1, -1, 0, 0)).toBe(true);
    writer.publish();
    reader.next();
    expect(reader.current).toMatchObject({ status: STATUS_DROPPED, offset: -1 });
  },
);

test("a verdict to a dead source with a full ring is thrown away, not waited for", () => {
  const path = { completions: createCompletions(2), doorbell: createDoorbell(), control: createControl() };
  const sender = new VerdictSender(path, new ThreadControl(createControl()));
  new ThreadControl(path.control).state = STATE_DEAD;
  for (let seq = 1; seq <= 5; seq++) sender.send(1, STATUS_OK, 1, seq, seq, 0, 0);
  sender.flush();
  const reader = new CompletionReader(path.completions);
  expect([reader.next(), reader.next(), reader.next()]).toEqual([true, true, false]);
});
