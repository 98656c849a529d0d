/** Rules and windows behind the log, as the processor's thread runs them over a batch. Results are checked. */
import { encodeFrame } from "../src/event/encode.ts";
import { frameLength, topicLength, topicStart } from "../src/event/ext.ts";
import { Processor, type ProcessorSpec } from "../src/process/processor.ts";
import { EventRecord } from "../src/process/rules/event-facts.ts";
import type { RuleSpec } from "../src/process/rules/spec.ts";
import { WindowOperator } from "../src/process/windows/operator.ts";
import type { WindowSpec } from "../src/process/windows/spec.ts";
import { type Benchmark, type BenchOptions, type Case, scaled } from "./benchmark.ts";
import { threadNs } from "./thread-time.ts";

const EVENTS = 200_000;
const TOPICS = 1000;
const KEYS = 10_000;
const MINUTE_MS = 60_000;
const START_US = 1_700_000_000_000_000;

export const processing: Benchmark = {
  summary: "rules and windows behind the log",
  open: (options) => {
    const frames = new Frames(options);
    const rule = (name: string, more: Partial<RuleSpec>): RuleSpec => ({
      name,
      topics: ["sensor.>"],
      enrich: [],
      drop: false,
      ...more,
    });
    const hundred = Array.from(
      { length: 10 },
      (_, index) =>
        rule(`tenth-${index}`, { topics: [`sensor.${index}.*`], when: "payload.celsius > 90.0", drop: true }),
    );
    const thousand = Array.from(
      { length: TOPICS },
      (_, index) =>
        rule(`each-${index}`, { topics: [topicOf(index)], when: "payload.celsius > 90.0", drop: true }),
    );
    return [
      frames.rules("no rule for the topic", [rule("r", { topics: ["other"], when: "payload.v > 1" })], 0),
      frames.rules("a rule without condition", [rule("r", { drop: true })], frames.count),
      frames.rules(
        "a rule of the topic: 1 of 1,000",
        [rule("r", { when: `topic == "${topicOf(7)}"` })],
        0.001 * frames.count,
      ),
      frames.rules(
        "a rule of the payload (CEL)",
        [rule("r", { when: "payload.celsius > 90.0" })],
        frames.hot,
      ),
      frames.rules("10 rules on 1,000 topics, payload", hundred, frames.hot),
      frames.rules("1,000 rules on 1,000 topics, payload", thousand, frames.hot),
      frames.window("1-minute window, 10,000 keys, JSON payload"),
      decodedWindow("1-minute window, 10,000 keys, numbers", options),
    ];
  },
};

function topicOf(index: number): string {
  return `sensor.${index % 10}.${Math.floor(index / 10)}`;
}

function celsiusOf(index: number): number {
  return (Math.imul(index, 0x9e3779b1) >>> 0) % 1000 / 10;
}

function keyOf(index: number): string {
  return `device-${(Math.imul(index, 0x85ebca6b) >>> 0) % KEYS}`;
}

const WINDOW: WindowSpec = {
  name: "w",
  topics: ["sensor.>"],
  by: "key",
  shape: { kind: "tumbling", sizeMs: MINUTE_MS },
  aggregates: [
    { name: "n", kind: "count", parameter: 0 },
    { name: "sum", kind: "sum", parameter: 0, value: "payload.celsius" },
    { name: "max", kind: "max", parameter: 0, value: "payload.celsius" },
  ],
  outOfOrderMs: 1000,
  idleMs: 5000,
  lateMs: 0,
  emit: "close",
  intervalMs: 1000,
  topic: "window.w",
  priority: 2,
  keysMax: 2 * KEYS,
};

/** Frames as they lie in a batch: topic, key, time, a JSON payload of 52 bytes. */
class Frames {
  readonly count: number;
  /** Events above 90 degrees. */
  readonly hot: number;
  readonly #bytes: Uint8Array;

  constructor(options: BenchOptions) {
    // Whole rounds of the topics, so that each of them comes as often.
    this.count = Math.max(1, Math.round(scaled(EVENTS, options) / TOPICS)) * TOPICS;
    const frames: Uint8Array[] = [];
    let hot = 0;
    for (let index = 0; index < this.count; index++) {
      if (celsiusOf(index) > 90) hot++;
      frames.push(encodeFrame({
        topic: topicOf(index % TOPICS),
        priority: 2,
        key: keyOf(index),
        timeUs: timeOf(index, this.count),
        payload: JSON.stringify({ sensor: index % 100, celsius: celsiusOf(index), unit: "C", ok: true }),
      }));
    }
    this.hot = hot;
    this.#bytes = Buffer.concat(frames);
  }

  /** @param fired How often rules fire in a round. */
  rules(name: string, rules: readonly RuleSpec[], fired: number): Case {
    return {
      name,
      round: () => {
        const processor = processorOf({ rules });
        const ns = this.#process(processor);
        let count = 0;
        for (const rule of processor.rules) count += rule.firedCount;
        if (count !== fired) throw new Error(`Rules fired ${count} times instead of ${fired}`);
        return { operations: this.count, ns };
      },
    };
  }

  window(name: string): Case {
    return {
      name,
      round: () => {
        const processor = processorOf({ windows: [WINDOW] });
        const ns = this.#process(processor);
        processor.pass(START_US + 1e12);
        let events = 0;
        for (const { count } of processor.takeEffects().windows) events += count;
        if (events !== this.count) throw new Error(`Windows hold ${events} of ${this.count} events`);
        return { operations: this.count, ns };
      },
    };
  }

  #process(processor: Processor): number {
    const bytes = this.#bytes;
    const record = new EventRecord();
    record.lane = "transactional";
    // Plans are made once a topic; how long that takes is not how long an event takes.
    for (let at = 0, seen = 0; seen < TOPICS; seen++, at += frameLength(bytes, at)) {
      processor.concerns(bytes, topicStart(at), topicLength(bytes, at));
    }
    const startedNs = threadNs();
    let offset = 0;
    for (let at = 0; at < bytes.length; at += frameLength(bytes, at)) {
      const topicAt = topicStart(at);
      const topicBytes = topicLength(bytes, at);
      offset++;
      if (!processor.concerns(bytes, topicAt, topicBytes)) continue;
      record.open(bytes, at, offset, START_US);
      processor.process(record, topicAt, topicBytes, 0, START_US);
    }
    return threadNs() - startedNs;
  }
}

/** Two windows' worth of event time. */
function timeOf(index: number, count: number): number {
  return START_US + Math.floor(index / count * 2 * MINUTE_MS * 1000);
}

/** The operator alone: keys and numbers are there already. */
function decodedWindow(name: string, options: BenchOptions): Case {
  const count = scaled(EVENTS * 5, options);
  const names = Array.from({ length: KEYS }, (_, index) => `device-${index}`);
  const keys = Array.from(
    { length: count },
    (_, index) => names[(Math.imul(index, 0x85ebca6b) >>> 0) % KEYS] ?? "",
  );
  const numbers = Float64Array.from({ length: count }, (_, index) => celsiusOf(index));
  return {
    name,
    round: () => {
      let events = 0;
      const operator = new WindowOperator(WINDOW, (result) => {
        events += result.count;
      });
      const values = [1, 0, 0];
      const startedNs = threadNs();
      for (let index = 0; index < count; index++) {
        const value = numbers[index] as number;
        values[1] = value;
        values[2] = value;
        operator.add(0, timeOf(index, count), keys[index] as string, values, START_US);
      }
      operator.pass(START_US + 1e12);
      const ns = threadNs() - startedNs;
      if (events !== count) throw new Error(`Windows hold ${events} of ${count} events`);
      return { operations: count, ns };
    },
  };
}

function processorOf(spec: Partial<ProcessorSpec>): Processor {
  return new Processor({
    rules: [],
    windows: [],
    handlers: [],
    alerts: { webhooks: [] },
    retry: { maxPauseMs: 1000, jitter: 0, maxParked: 1000 },
    maxFrameBytes: 1 << 20,
    ...spec,
  }, {
    tell: () => {},
    report: (problem) => {
      throw new Error(problem);
    },
    deadLetter: () => {},
    nowUs: () => START_US,
  });
}
