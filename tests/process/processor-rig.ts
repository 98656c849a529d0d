/** The processor without its thread: events in, all that follows from them out. */
import { type DecodedEvent, decodeFrame } from "../../src/event/decode.ts";
import { encodeFrame, type OutgoingEvent } from "../../src/event/encode.ts";
import { frameLength, topicLength, topicStart } from "../../src/event/ext.ts";
import type { Alert } from "../../src/process/alerts/alert.ts";
import { Processor, type ProcessorSpec } from "../../src/process/processor.ts";
import { EventRecord } from "../../src/process/rules/event-facts.ts";
import type { RuleSpec } from "../../src/process/rules/spec.ts";
import type { WindowResult } from "../../src/store/store.ts";

export const MAX_FRAME_BYTES = 1 << 20;

/** An event, and when it was received. */
export interface Received extends OutgoingEvent {
  readonly receivedUs: number;
}

/** A rule of which only what matters is said. */
export function ruleOf(rule: Partial<RuleSpec> & Pick<RuleSpec, "name">): RuleSpec {
  return { topics: [">"], enrich: [], drop: false, ...rule };
}

export function specOf(spec: Partial<ProcessorSpec>): ProcessorSpec {
  return {
    rules: [],
    windows: [],
    handlers: [],
    alerts: { webhooks: [] },
    retry: { maxPauseMs: 1000, jitter: 0, maxParked: 1000 },
    maxFrameBytes: MAX_FRAME_BYTES,
    ...spec,
  };
}

/** An event that a processor has published. */
export type Output = Omit<DecodedEvent, "payload"> & { readonly payload: string };

export class ProcessorRig {
  readonly alerts: Alert[] = [];
  readonly letters: { topic: string; reason: string; error: string }[] = [];
  readonly outputs: Output[] = [];
  readonly windows: WindowResult[] = [];
  readonly reports: string[] = [];
  readonly record = new EventRecord();
  processor: Processor;
  readonly #spec: ProcessorSpec;
  #offset = 0;
  #nowUs = 0;
  /** Events confirmed to the processor's outbox. */
  #confirmed = 0;

  constructor(spec: Partial<ProcessorSpec>) {
    this.#spec = specOf(spec);
    this.processor = this.#open();
  }

  /** Processes events as they lie in the log, in batches of so many. */
  feed(events: readonly Received[], batchCount = 1): this {
    const { record } = this;
    record.lane = "transactional";
    for (let from = 0; from < events.length; from += batchCount) {
      const batch = events.slice(from, from + batchCount);
      this.processor.expire(batch[0]?.receivedUs ?? 0);
      for (const { receivedUs, ...event } of batch) {
        const frame = encodeFrame(event);
        const topicAt = topicStart(0);
        const topicBytes = topicLength(frame, 0);
        const offset = this.#offset++;
        if (!this.processor.concerns(frame, topicAt, topicBytes)) continue;
        this.#nowUs = receivedUs;
        record.open(frame, 0, offset, receivedUs);
        this.processor.process(record, topicAt, topicBytes, 0, receivedUs);
      }
      this.#collect();
    }
    return this;
  }

  /** The clock has come to `nowUs`, and nothing else. */
  pass(nowUs: number): this {
    this.processor.expire(nowUs);
    this.processor.pass(nowUs);
    this.processor.flush(nowUs);
    this.#collect();
    return this;
  }

  /** Another process goes on from what was saved. */
  restart(nowUs: number): readonly string[] {
    const saved = this.processor.save();
    this.processor = this.#open();
    this.#confirmed = 0;
    return this.processor.load(saved, nowUs);
  }

  #open(): Processor {
    return new Processor(this.#spec, {
      tell: (alert) => this.alerts.push(alert),
      report: (problem) => this.reports.push(problem),
      nowUs: () => this.#nowUs,
      deadLetter: (event, reason, error) => this.letters.push({ topic: event.topic, reason, error }),
    });
  }

  #collect(): void {
    const { outbox } = this.processor;
    this.windows.push(...this.processor.takeEffects().windows);
    outbox.release();
    outbox.send((bytes, count) => {
      for (let at = 0; at < bytes.length; at += frameLength(bytes, at)) {
        const event = decodeFrame(bytes, at);
        this.outputs.push({ ...event, payload: Buffer.from(event.payload).toString() });
      }
      this.#confirmed += count;
      return true;
    });
    outbox.done(this.#confirmed);
  }
}
