import { expect, test } from "bun:test";
import { encodeFrame } from "../../src/event/encode.ts";
import { LISTENERS } from "../../src/event/frame.ts";
import {
  SOURCE_BYTES,
  SOURCE_CONNECTIONS,
  SOURCE_RECEIVED,
  SOURCE_REJECTED,
} from "../../src/metrics/layout.ts";
import { STATUS_DROPPED, STATUS_OK } from "../../src/queue/completions.ts";
import { ACK_INTERVALS_MAX } from "../../src/ingest/source.ts";
import type { Connection, ConnectionSink } from "../../src/ingest/source.ts";
import { EngineEnd } from "./engine-end.ts";
import { withRandom } from "../support/seed.ts";

const HTTP = LISTENERS.indexOf("http");
const frame = encodeFrame({ topic: "t", payload: "payload" });

class Recorder implements ConnectionSink {
  done: number[] = [];
  problems: number[][] = [];
  progress(done: number): void {
    this.done.push(done);
  }
  problem(status: number, detail: number, firstSeq: number, count: number): void {
    this.problems.push([status, detail, firstSeq, count]);
  }
}

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("Expected a value");
  return value;
}

test("offer() refuses when the ring is full, and writes and counts nothing", () => {
  const engine = new EngineEnd({ ringBytes: 4096 });
  const source = engine.openSource();
  const connection = need(source.openConnection("http", "accepted", new Recorder()));
  let offered = 0;
  while (source.offer(connection, frame, 0, frame.length, 1, 5, false)) offered++;
  expect(connection.seq).toBe(offered);
  expect(engine.counter(SOURCE_RECEIVED + HTTP)).toBe(offered);
  expect(engine.counter(SOURCE_BYTES + HTTP)).toBe(offered * frame.length);
  expect(engine.take()).toBe(0);
  source.publish();
  expect(engine.take()).toBe(offered);
  expect(source.offer(connection, frame, 0, frame.length, 1, 5, false)).toBe(true);
});

test("offer() throws on a run that can never fit", () => {
  const engine = new EngineEnd({ ringBytes: 4096 });
  const source = engine.openSource();
  const connection = need(source.openConnection("http", "none", new Recorder()));
  const large = encodeFrame({ topic: "t", payload: new Uint8Array(2048) });
  expect(() => source.offer(connection, large, 0, large.length, 1, 5, false)).toThrow(RangeError);
});

test("a run carries its origin, its time and its place in the sequence", () => {
  const engine = new EngineEnd();
  const source = engine.openSource();
  const connection = need(source.openConnection("http", "durable", new Recorder()));
  connection.seq = 2 ** 40;
  source.refuse(connection, "bad_crc");
  source.offer(connection, frame, 0, frame.length, 1, 1_700_000_000_123_456, true);
  source.publish();
  engine.take();
  expect(engine.runs).toEqual([{
    connection: connection.word,
    firstSeq: 2 ** 40 + 2,
    count: 1,
    acks: 2,
    listener: HTTP,
    hasIds: true,
    frames: Buffer.from(frame),
  }]);
});

test("refused events are done at their place in the sequence", () => {
  const engine = new EngineEnd();
  const source = engine.openSource();
  const sink = new Recorder();
  const connection = need(source.openConnection("http", "durable", sink));
  source.offer(connection, frame, 0, frame.length, 1, 5, false);
  expect(source.refuse(connection, "bad_crc")).toBe(2);
  source.publish();
  expect(source.poll()).toBe(false);
  engine.take();
  expect(source.poll()).toBe(true);
  expect(sink.done).toEqual([2]);
});

test("slots run out, come back with a new generation, and old verdicts find nobody", () => {
  const engine = new EngineEnd({ slots: 2 });
  const source = engine.openSource();
  const first = new Recorder();
  const one = need(source.openConnection("http", "durable", first));
  need(source.openConnection("http", "durable", new Recorder()));
  expect(source.openConnection("http", "none", new Recorder())).toBeUndefined();
  source.offer(one, frame, 0, frame.length, 1, 5, false);
  source.publish();
  source.closeConnection(one);
  source.closeConnection(one);
  expect(source.freeSlots).toBe(1);
  const second = new Recorder();
  const again = need(source.openConnection("http", "durable", second));
  expect(again.slot).toBe(one.slot);
  expect(again.word).not.toBe(one.word);
  engine.take();
  source.poll();
  expect([first.done, second.done]).toEqual([[], []]);
  expect(engine.counter(SOURCE_CONNECTIONS + HTTP)).toBe(2);
});

test("isBlocked() follows the dispatcher's word and the number of holes", () => {
  const engine = new EngineEnd();
  const source = engine.openSource();
  const connection = need(source.openConnection("http", "durable", new Recorder()));
  expect(source.isBlocked(connection)).toBe(false);
  Atomics.store(new Int32Array(engine.blocked), connection.slot, 1);
  expect(source.isBlocked(connection)).toBe(true);
  Atomics.store(new Int32Array(engine.blocked), connection.slot, 0);
  for (let hole = 0; hole < ACK_INTERVALS_MAX; hole++) connection.tracker.add(hole * 2 + 2, 1);
  expect(source.isBlocked(connection)).toBe(true);
  connection.tracker.add(1, 1);
  expect(source.isBlocked(connection)).toBe(false);
});

test("acknowledgements agree with a naive model under random interleavings", () =>
  withRandom((random) => {
    const engine = new EngineEnd({ ringBytes: 16384, slots: 8 });
    const source = engine.openSource();
    interface Model {
      sink: Recorder;
      connection: Connection;
      done: Set<number>;
      refused: number[];
    }
    const models: Model[] = Array.from({ length: 4 }, () => {
      const sink = new Recorder();
      return {
        sink,
        connection: need(source.openConnection("http", "durable", sink)),
        done: new Set(),
        refused: [],
      };
    });
    const pending: { model: Model; firstSeq: number; count: number }[] = [];
    let rejected = 0;
    const check = (model: Model) => {
      let done = 0;
      while (model.done.has(done + 1)) done++;
      const told = model.sink.done.at(-1) ?? 0;
      if (told !== done) throw new Error(`told ${told}, should be ${done}`);
      for (let index = 1; index < model.sink.done.length; index++) {
        if ((model.sink.done[index] ?? 0) <= (model.sink.done[index - 1] ?? 0)) throw new Error(`not rising`);
      }
    };
    for (let step = 0; step < 20_000; step++) {
      const model = need(models[random.below(models.length)]);
      const action = random.below(10);
      if (action < 4) {
        const count = 1 + random.below(5);
        const bytes = Buffer.concat(Array.from({ length: count }, () => frame));
        source.offer(model.connection, bytes, 0, bytes.length, count, 5, false);
      } else if (action === 4) {
        model.done.add(source.refuse(model.connection, "bad_crc"));
        rejected++;
      } else if (action < 7) {
        source.publish();
        engine.take({ answers: false, runsMax: 1 + random.below(4) });
        for (const run of engine.runs.splice(0)) {
          const owner = need(models.find((candidate) => candidate.connection.word === run.connection));
          // The dispatcher may cut a run into shards' parts.
          const cut = random.below(run.count);
          if (cut > 0) pending.push({ model: owner, firstSeq: run.firstSeq, count: cut });
          pending.push({ model: owner, firstSeq: run.firstSeq + cut, count: run.count - cut });
        }
      } else if (action < 9 && pending.length > 0) {
        const [verdict] = pending.splice(random.below(pending.length), 1);
        const { model: owner, firstSeq, count } = need(verdict);
        const isDropped = random.below(20) === 0;
        if (isDropped) owner.refused.push(firstSeq);
        engine.answer(
          { connection: owner.connection.word, firstSeq, count },
          isDropped ? STATUS_DROPPED : STATUS_OK,
        );
        for (let seq = firstSeq; seq < firstSeq + count; seq++) owner.done.add(seq);
        source.poll();
      } else {
        source.poll();
        models.forEach(check);
      }
    }
    source.publish();
    do {
      for (const { model: owner, firstSeq, count } of pending.splice(0)) {
        engine.answer({ connection: owner.connection.word, firstSeq, count });
        for (let seq = firstSeq; seq < firstSeq + count; seq++) owner.done.add(seq);
        source.poll();
      }
      engine.take({ answers: false });
      for (const run of engine.runs.splice(0)) {
        const owner = need(models.find((candidate) => candidate.connection.word === run.connection));
        pending.push({ model: owner, firstSeq: run.firstSeq, count: run.count });
      }
    } while (pending.length > 0);
    source.poll();
    for (const model of models) {
      check(model);
      expect(model.sink.done.at(-1)).toBe(model.connection.seq);
      expect(model.sink.problems.map(([, , firstSeq]) => firstSeq)).toEqual(model.refused);
    }
    const total = models.reduce((sum, model) => sum + model.connection.seq, 0);
    expect(engine.counter(SOURCE_RECEIVED + HTTP)).toBe(total);
    let counted = 0;
    for (let reason = 0; reason < 32; reason++) counted += engine.counter(SOURCE_REJECTED + reason);
    expect(counted).toBe(rejected);
  }));
