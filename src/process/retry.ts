/**
 * Events whose handler has failed, until they are tried again: each key waits in a line of its own.
 *
 *     fail() → line of the key → due → takeDue() → fail() again, or finish()
 *     hold()  ↗ behind it: events of the same key that came later
 *
 * Only the head of a line is ever tried, so the order of a key's events stays as it is in the log, and other keys
 * go on. What waits is part of the checkpoint: positions are committed past it, a crash loses none of it, and
 * outputs carry ids that follow from the input, so that trying again after a crash stores nothing twice.
 *
 * Processor thread only. events ≤ maxParked + one batch
 */
import { frameLength } from "../event/ext.ts";
import type { EventRecord } from "./rules/event-facts.ts";
import { plain } from "./rules/expression.ts";
import { Timers } from "./windows/timers.ts";

/** Bytes that may wait: all of it is written with every checkpoint. */
export const PARKED_BYTES_MAX = 16 * 1024 * 1024;

/** `processing.retry` of the configuration. */
export interface RetrySpec {
  /** Longest pause between two attempts. */
  readonly maxPauseMs: number;
  /** 0..1: a pause is shortened by up to this share, so that what failed together does not come back together. */
  readonly jitter: number;
  /** Events that may wait; beyond, nothing more is read. */
  readonly maxParked: number;
}

/** How often a handler is tried, and how long after. */
export interface RetryLimits {
  readonly name: string;
  readonly attemptsMax: number;
  /** Pause before attempt n + 1: n times this. */
  readonly pauseMs: number;
}

/** A copy of an event that waits. */
export interface ParkedEvent {
  readonly handler: string;
  readonly lane: string;
  readonly shard: number;
  readonly offset: number;
  readonly receivedUs: number;
  readonly frame: Uint8Array;
  /** As rules have set it. */
  readonly priority: number;
  /** What rules have added to its payload; `undefined`: nothing. */
  readonly enriched: Readonly<Record<string, unknown>> | undefined;
  /** Attempts that have failed. */
  attempts: number;
}

/** One key's events in the order of the log. */
interface Line {
  readonly key: string;
  readonly events: ParkedEvent[];
  /** When the head may be tried, by the clock. */
  dueUs: number;
  /** The head is being tried. */
  isOut: boolean;
}

type SavedEvent = readonly [
  handler: string,
  lane: string,
  shard: number,
  offset: number,
  receivedUs: number,
  attempts: number,
  frame: string,
  priority: number,
  enriched: Readonly<Record<string, unknown>> | null,
];
export type SavedRetries = readonly (readonly [key: string, dueUs: number, events: readonly SavedEvent[]])[];

/** Events of one key must not overtake each other; without a key, those of one topic. */
export function orderKeyOf({ lane, shard, key, topic }: EventRecord): string {
  return key === "" ? `${lane}/${shard}/t${topic}` : `${lane}/${shard}/k${key}`;
}

export class Retries {
  /** Attempts that were made again, and events given up, since start. */
  retriedCount = 0;
  givenUpCount = 0;
  readonly #spec: RetrySpec;
  readonly #random: () => number;
  readonly #lines = new Map<string, Line>();
  readonly #timers = new Timers<Line>();
  readonly #ready: Line[] = [];
  readonly #counts = new Map<string, number>();
  #count = 0;
  #bytes = 0;
  #isChanged = false;

  /** @param random 0..1, for the jitter. */
  constructor(spec: RetrySpec, random: () => number) {
    this.#spec = spec;
    this.#random = random;
  }

  /** Events that wait or are being tried again. */
  get count(): number {
    return this.#count;
  }

  /** Of one shard. */
  countOf(lane: string, shard: number): number {
    return this.#counts.get(`${lane}/${shard}`) ?? 0;
  }

  get isFull(): boolean {
    return this.#count >= this.#spec.maxParked || this.#bytes >= PARKED_BYTES_MAX;
  }

  /** Whether anything is different from what the last `save()` gave. */
  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** When `takeDue()` next has something, by the clock; Infinity: never. */
  get dueUs(): number {
    return this.#ready.length > 0 ? 0 : this.#timers.nextUs;
  }

  /** Whether an event of this key waits: those that come must wait behind it. */
  holds(key: string): boolean {
    return this.#lines.has(key);
  }

  /** Has an event wait that was not tried, behind those of its key. Takes a copy. */
  hold(key: string, event: EventRecord, handler: string): void {
    const line = this.#lines.get(key);
    if (line === undefined) this.#ready.push(this.#open(key, event, handler));
    else this.#append(line, event, handler);
  }

  /**
   * An attempt has failed: the event waits for the next one, or has had its last. Takes a copy.
   *
   * @returns 0 when it waits, else how often it was tried: it is given up, and the next of its key may go.
   */
  fail(key: string, event: EventRecord, handler: RetryLimits, nowUs: number): number {
    let line = this.#lines.get(key);
    const isRetry = line !== undefined && isHead(line, event);
    if (!isRetry && handler.attemptsMax <= 1) return this.#giveUp(1);
    if (line !== undefined && !isRetry) {
      // Tried although one before it waits: it waits, too, and is tried again in its turn.
      this.#append(line, event, handler.name).attempts = 1;
      return 0;
    }
    line ??= this.#open(key, event, handler.name);
    const head = line.events[0] as ParkedEvent;
    head.attempts++;
    line.isOut = false;
    this.#isChanged = true;
    if (head.attempts >= handler.attemptsMax) {
      this.#leave(line);
      return this.#giveUp(head.attempts);
    }
    line.dueUs = nowUs + this.#pauseUs(handler, head.attempts);
    this.#timers.add(line.dueUs, line);
    return 0;
  }

  /** An event is done, whatever became of it. @returns Attempts that had failed before. */
  finish(key: string, event: EventRecord): number {
    const line = this.#lines.get(key);
    if (line === undefined || !isHead(line, event)) return 0;
    const { attempts } = line.events[0] as ParkedEvent;
    this.#leave(line);
    return attempts;
  }

  /** The next event whose time has come; it ends by `fail()` or `finish()`. Valid until then. */
  takeDue(nowUs: number): ParkedEvent | undefined {
    while (this.#timers.nextUs <= nowUs) this.#ready.push(...this.#timers.take());
    const line = this.#ready.shift();
    if (line === undefined) return undefined;
    line.isOut = true;
    const head = line.events[0] as ParkedEvent;
    if (head.attempts > 0) this.retriedCount++;
    return head;
  }

  /** All that waits. Belongs to the place up to which logs were read. */
  save(): SavedRetries {
    this.#isChanged = false;
    return [...this.#lines.values()].map(({ key, dueUs, events }) => [
      key,
      dueUs,
      events.map((event): SavedEvent => [
        event.handler,
        event.lane,
        event.shard,
        event.offset,
        event.receivedUs,
        event.attempts,
        Buffer.from(event.frame).toString("base64"),
        event.priority,
        event.enriched === undefined ? null : JSON.parse(JSON.stringify(event.enriched, plain)),
      ]),
    ]);
  }

  /** Goes on from what `save()` gave, with nothing in it yet. */
  load(saved: SavedRetries): void {
    for (const [key, dueUs, events] of saved) {
      const line: Line = { key, events: [], dueUs, isOut: false };
      this.#lines.set(key, line);
      for (const [handler, lane, shard, offset, receivedUs, attempts, frame, priority, enriched] of events) {
        this.#add(line, {
          handler,
          lane,
          shard,
          offset,
          receivedUs,
          attempts,
          frame: new Uint8Array(Buffer.from(frame, "base64")),
          priority,
          enriched: enriched ?? undefined,
        });
      }
      this.#timers.add(dueUs, line);
    }
    this.#isChanged = false;
  }

  #open(key: string, event: EventRecord, handler: string): Line {
    const line: Line = { key, events: [], dueUs: 0, isOut: false };
    this.#lines.set(key, line);
    this.#append(line, event, handler);
    return line;
  }

  #append(line: Line, event: EventRecord, handler: string): ParkedEvent {
    const { bytes, at, lane, shard, offset, receivedUs, priority, enriched } = event;
    const parked: ParkedEvent = {
      handler,
      lane,
      shard,
      offset,
      receivedUs,
      frame: bytes.slice(at, at + frameLength(bytes, at)),
      priority,
      enriched,
      attempts: 0,
    };
    this.#add(line, parked);
    return parked;
  }

  #add(line: Line, parked: ParkedEvent): void {
    line.events.push(parked);
    this.#move(parked, 1);
  }

  /** The head of the line leaves it; the next may be tried at once. */
  #leave(line: Line): void {
    const head = line.events.shift();
    if (head === undefined) return;
    this.#move(head, -1);
    line.isOut = false;
    line.dueUs = 0;
    if (line.events.length > 0) this.#ready.push(line);
    else this.#lines.delete(line.key);
  }

  #move({ lane, shard, frame }: ParkedEvent, by: 1 | -1): void {
    const place = `${lane}/${shard}`;
    this.#count += by;
    this.#bytes += by * frame.length;
    this.#counts.set(place, (this.#counts.get(place) ?? 0) + by);
    this.#isChanged = true;
  }

  #giveUp(attempts: number): number {
    this.givenUpCount++;
    return attempts;
  }

  #pauseUs({ pauseMs }: RetryLimits, attempts: number): number {
    const { maxPauseMs, jitter } = this.#spec;
    const fullMs = Math.min(maxPauseMs, pauseMs * attempts);
    return Math.round(fullMs * 1000 * (1 - jitter * this.#random()));
  }
}

function isHead(line: Line, { lane, shard, offset }: EventRecord): boolean {
  const head = line.events[0];
  return line.isOut && head !== undefined && head.offset === offset && head.lane === lane &&
    head.shard === shard;
}
