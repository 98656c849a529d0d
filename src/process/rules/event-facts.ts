/**
 * One event as rules, windows and handlers see it: each part is decoded when it is first asked for, and once.
 *
 * Reused from event to event: nothing of it may be kept. Processor thread only.
 */
import { timeOf } from "../../event/decode.ts";
import {
  framePriority,
  hasHeaders,
  payloadEnd,
  payloadStart,
  TagCursor,
  topicLength,
  topicStart,
} from "../../event/ext.ts";
import { TAG_HEADER, TAG_ID, TAG_KEY, TAG_TIME } from "../../event/frame.ts";
import type { EventFacts } from "./expression.ts";

const decoder = new TextDecoder();
/** Payloads beyond this are not decoded: an expression sees null. */
export const PAYLOAD_BYTES_MAX = 1 << 20;

export class EventRecord implements EventFacts {
  /** Memory with the whole frame, and index of its length prefix. */
  bytes: Uint8Array<ArrayBufferLike> = new Uint8Array(0);
  at = 0;
  lane = "";
  shard = 0;
  offset = 0;
  /** Microseconds since the Unix epoch. */
  receivedUs = 0;
  /** Payloads decoded since start. */
  decodedCount = 0;
  readonly #tags = new TagCursor();
  #topic: string | undefined;
  #payload: unknown;
  #isDecoded = false;
  #enriched: Record<string, unknown> | undefined;
  #priority: number | undefined;

  /** Goes to another event. @param topic Its topic, if somebody knows it already. */
  open(bytes: Uint8Array, at: number, offset: number, receivedUs: number, topic?: string): void {
    this.bytes = bytes;
    this.at = at;
    this.offset = offset;
    this.receivedUs = receivedUs;
    this.#topic = topic;
    this.#isDecoded = false;
    this.#payload = undefined;
    this.#enriched = undefined;
    this.#priority = undefined;
  }

  get topic(): string {
    return this.#topic ??= this.#text(topicStart(this.at), topicLength(this.bytes, this.at));
  }

  /** As it came, or as a rule has set it. */
  get priority(): number {
    return this.#priority ?? framePriority(this.bytes, this.at);
  }

  get key(): string {
    return this.#tag(TAG_KEY);
  }

  get id(): string {
    return this.#tag(TAG_ID);
  }

  /** When it happened, or else when it was received; microseconds since the Unix epoch. */
  get timeUs(): number {
    const tags = this.#tags;
    return tags.find(this.bytes, this.at, TAG_TIME) ? timeOf(this.bytes, tags.start) : this.receivedUs;
  }

  get time(): Date {
    return new Date(this.timeUs / 1000);
  }

  /** Whether there are headers at all. Costs nothing. */
  get hasHeaders(): boolean {
    return hasHeaders(this.bytes, this.at);
  }

  get headers(): Readonly<Record<string, string>> {
    const headers: Record<string, string> = Object.create(null);
    const tags = this.#tags;
    tags.open(this.bytes, this.at);
    while (tags.next(this.bytes)) {
      if (tags.tag !== TAG_HEADER) continue;
      const text = this.#text(tags.start, tags.length);
      const separator = text.indexOf("\0");
      headers[text.slice(0, separator)] = text.slice(separator + 1);
    }
    return headers;
  }

  /** The payload's JSON with what rules have added; null where it is none. */
  get payload(): unknown {
    if (!this.#isDecoded) {
      this.#isDecoded = true;
      this.decodedCount++;
      this.#payload = this.#decode();
    }
    return this.#payload;
  }

  get payloadBytes(): Uint8Array {
    return this.bytes.subarray(payloadStart(this.bytes, this.at), payloadEnd(this.bytes, this.at));
  }

  /** What rules have added to the payload; undefined when none has. */
  get enriched(): Readonly<Record<string, unknown>> | undefined {
    return this.#enriched;
  }

  /** Gives the event another priority for later rules, windows and handlers; in the log it stays as it is. */
  setPriority(priority: number): void {
    this.#priority = priority;
  }

  /** Adds a field to the payload as later rules, windows and handlers see it. What is no map becomes one. */
  enrich(name: string, value: unknown): void {
    const { payload } = this;
    if (this.#enriched === undefined) {
      this.#enriched = isMap(payload) ? { ...payload } : { value: payload };
      this.#payload = this.#enriched;
    }
    Object.defineProperty(this.#enriched, name, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }

  #decode(): unknown {
    const from = payloadStart(this.bytes, this.at);
    const length = payloadEnd(this.bytes, this.at) - from;
    if (length === 0 || length > PAYLOAD_BYTES_MAX) return null;
    try {
      return JSON.parse(this.#text(from, length));
    } catch {
      return null; // No JSON: the same to an expression as no payload.
    }
  }

  #tag(tag: number): string {
    const tags = this.#tags;
    return tags.find(this.bytes, this.at, tag) ? this.#text(tags.start, tags.length) : "";
  }

  #text(from: number, length: number): string {
    return decoder.decode(this.bytes.subarray(from, from + length));
  }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
