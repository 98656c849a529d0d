/**
 * The check of every event's topic on its way in: one gate a connection, on the listener's hot path.
 *
 * Most connections send long stretches to one topic, so the last topic and its answer are kept: the common
 * case is a comparison of its bytes. A new topic costs one walk through the trie of the granted patterns,
 * which is about what looking it up in a cache would cost. Nothing is allocated.
 */
import { FRAME_PREFIX_BYTES, TOPIC_BYTES_MAX } from "../event/frame.ts";
import type { TopicMatcher } from "../event/topic.ts";

const TOPIC_LENGTH_AT = FRAME_PREFIX_BYTES + 1;
const TOPIC_AT = FRAME_PREFIX_BYTES + 3;

export class TopicGate {
  /** Frames that passed in the last `pass()`. */
  count = 0;
  readonly #matcher: TopicMatcher;
  readonly #last = new Uint8Array(TOPIC_BYTES_MAX);
  #lastLength = 0;
  #lastMay = false;

  constructor(matcher: TopicMatcher) {
    this.#matcher = matcher;
  }

  /** Whether every topic passes: then there is nothing to ask. */
  get isOpen(): boolean {
    return this.#matcher.matchesAll;
  }

  /**
   * Lets frames pass up to the first whose topic is not granted.
   *
   * @param bytes Frames `at..end`, checked and whole.
   * @returns Index of that frame, or `end`; `count` says how many lie before it.
   */
  pass(bytes: Uint8Array, at: number, end: number): number {
    let from = at;
    this.count = 0;
    while (from < end) {
      const length = ((bytes[from + TOPIC_LENGTH_AT] as number) << 8) |
        (bytes[from + TOPIC_LENGTH_AT + 1] as number);
      if (!this.#may(bytes, from + TOPIC_AT, length)) return from;
      from += FRAME_PREFIX_BYTES + frameBodyLength(bytes, from);
      this.count++;
    }
    return end;
  }

  #may(bytes: Uint8Array, at: number, length: number): boolean {
    const last = this.#last;
    if (length === this.#lastLength) {
      let same = 0;
      while (same < length && last[same] === bytes[at + same]) same++;
      if (same === length) return this.#lastMay;
    }
    for (let index = 0; index < length; index++) last[index] = bytes[at + index] as number;
    this.#lastLength = length;
    return this.#lastMay = this.#matcher.matches(bytes, at, length);
  }
}

function frameBodyLength(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number);
}
