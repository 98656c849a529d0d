/**
 * What the sink has stored, told to Redis: the last value of each topic under `<prefix>last:<topic>`, and a
 * message on a channel for whoever listens.
 *
 * It never makes the sink wait. While one batch is on its way the next ones are put together, newest value of
 * each topic only, at most `TOPICS_MAX`; what Redis does not take is dropped and counted: the store has it.
 */
import type { EventRow } from "./event-rows.ts";
import type { RedisClient } from "./redis.ts";

/** Topics that wait at most. */
const TOPICS_MAX = 10_000;

export interface FanOutOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  readonly channel: string;
  readonly ttlMs: number;
}

export class FanOut {
  readonly #options: FanOutOptions;
  #waiting = new Map<string, string>();
  #isSending = false;
  /** Values that Redis has taken, and those it has not. */
  sent = 0;
  dropped = 0;

  constructor(options: FanOutOptions) {
    this.#options = options;
  }

  /** Takes note of stored rows; returns at once. */
  note(rows: readonly EventRow[]): void {
    for (const row of rows) {
      if (this.#waiting.size < TOPICS_MAX || this.#waiting.has(row.topic)) {
        this.#waiting.set(row.topic, lastValueText(row));
      } else this.dropped++;
    }
    if (!this.#isSending && this.#waiting.size > 0) void this.#send();
  }

  async #send(): Promise<void> {
    const { redis, keyPrefix, channel, ttlMs } = this.#options;
    this.#isSending = true;
    while (this.#waiting.size > 0) {
      const values = this.#waiting;
      this.#waiting = new Map();
      try {
        await redis.run(async (client) => {
          const pipeline = client.pipeline();
          for (const [topic, text] of values) {
            pipeline.set(`${keyPrefix}last:${topic}`, text, "PX", ttlMs);
            pipeline.publish(channel, text);
          }
          const failed = (await pipeline.exec())?.find(([error]) => error !== null);
          if (failed !== undefined) throw failed[0];
        });
        this.sent += values.size;
      } catch {
        this.dropped += values.size;
      }
    }
    this.#isSending = false;
  }
}

/** A last value as JSON, in the words of the HTTP interface. */
function lastValueText({ topic, offset, priority, receivedUs, timeUs, key, payload }: EventRow): string {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  const text = bytes.toString();
  const isText = Buffer.from(text).equals(bytes);
  return JSON.stringify({
    topic,
    offset,
    priority,
    received_us: receivedUs,
    ...(timeUs === null ? {} : { time_us: timeUs }),
    ...(key === null ? {} : { key }),
    payload: isText ? text : bytes.toString("base64"),
    ...(isText ? {} : { encoding: "base64" }),
  });
}
