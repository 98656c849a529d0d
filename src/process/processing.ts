/**
 * The processor at work: reads all shards in the order of reception, processes, and commits what it remembers,
 * how far it has read, window results and alerts in one transaction.
 *
 *     effects in the store = effects of all events below the stored positions
 *
 * Its thread turns it and sleeps in between. Nothing here waits but `commit()`.
 */
import { EventCursor } from "../log/batch.ts";
import { type DamageReport } from "../log/damage.ts";
import type { Files } from "../log/files.ts";
import { type ShardInfo, ShardState } from "../log/shard-state.ts";
import { count, openCounters } from "../metrics/counters.ts";
import { Histogram } from "../metrics/histogram.ts";
import { SHARD_PROCESS } from "../metrics/latency.ts";
import type { LogPosition, Store } from "../store/store.ts";
import { topicLength, topicStart } from "../event/ext.ts";
import type { LetterBox } from "./letters.ts";
import type { OfferRun } from "./outbox.ts";
import type { Processor } from "./processor.ts";
import { EventRecord } from "./rules/event-facts.ts";
import { ShardFeed } from "./shard-feed.ts";

/** Name among the consumers of the store, and of its checkpoint. */
const CONSUMER = "processor";
const STATE = "state";
/** Shortest time between commits that bring results out. */
const COMMIT_PAUSE_MS = 20;
/** How many times longer than a commit the time to the next one is: large state must not leave none for events. */
const COMMIT_PAUSE_FACTOR = 4;
/** How often old results leave the store. */
const PRUNE_MS = 600_000;
/** Longest time in which the clock is not looked at. */
const PASS_US = 50_000;

export interface ProcessingOptions {
  /** All shards but the dead-letter one. */
  readonly shards: readonly ShardInfo[];
  /**
   * One double a shard: events processed since start; behind them one a shard: the offset up to which it has read
   * and committed. Events that wait for another attempt may lie below.
   */
  readonly processed: SharedArrayBuffer;
  /** One block of shard latencies for each shard. */
  readonly latencies: readonly SharedArrayBuffer[];
  readonly checkpointIntervalMs: number;
  /** Where a log begins that was never processed. */
  readonly start: "earliest" | "latest";
  /** Age after which results and alerts leave the store; absent: never. */
  readonly retentionMs?: number;
  /** By shard: whether its lane has critical events, and is never held. */
  readonly isCritical: readonly boolean[];
}

export interface ProcessingHost {
  readonly files: Files;
  readonly store: Store;
  readonly processor: Processor;
  readonly letters: LetterBox;
  readonly offer: OfferRun;
  /** Microseconds since the Unix epoch. */
  readonly nowUs: () => number;
  /** Whether lanes without critical events are to wait: what they have stays in their logs. */
  readonly isHolding: () => boolean;
  readonly onDamage: DamageReport;
  readonly report: (problem: string) => void;
  /** Shows what was counted; called now and then. */
  readonly tally: (nowUs: number) => void;
}

export class Processing {
  readonly #options: ProcessingOptions;
  readonly #host: ProcessingHost;
  readonly #feeds: readonly ShardFeed[];
  readonly #positions: LogPosition[];
  readonly #cursor = new EventCursor();
  readonly #record = new EventRecord();
  readonly #processed: Float64Array;
  readonly #latencies: readonly Histogram[];
  /** Events processed since the last commit, by shard; and those among all that waited for another attempt then. */
  readonly #uncommitted: number[];
  readonly #parked: number[];
  /** Handlers have answered since the last commit. */
  #hasAnswers = false;
  #committedMs = performance.now();
  #commitMs = 0;
  #passedUs = 0;
  #prunedMs = -Infinity;

  private constructor(options: ProcessingOptions, host: ProcessingHost, positions: readonly LogPosition[]) {
    this.#options = options;
    this.#host = host;
    this.#positions = [...positions];
    this.#processed = openCounters(options.processed);
    this.#latencies = options.latencies.map((memory) => new Histogram(memory, SHARD_PROCESS));
    this.#uncommitted = options.shards.map(() => 0);
    const { retries } = host.processor;
    this.#parked = options.shards.map(({ lane, shard }) => retries.countOf(lane, shard));
    this.#feeds = options.shards.map((info, index) => {
      // A log that has lost its end (power cut, durability none) gives those offsets to other events.
      const { nextOffset } = positions[index] as LogPosition;
      const position = Math.min(nextOffset, new ShardState(info.state).nextOffset);
      this.#publish(index, position);
      return new ShardFeed(host.files, info, position, host.onDamage);
    });
  }

  /** Goes on from what the store has. @throws {EscError} STORE_UNAVAILABLE. */
  static async open(options: ProcessingOptions, host: ProcessingHost): Promise<Processing> {
    const places = options.shards.map(({ lane, shard, state }) => ({
      lane,
      shard,
      startOffset: options.start === "earliest" ? 0 : new ShardState(state).visibleOffset,
    }));
    const positions = await host.store.positions(CONSUMER, places);
    const saved = await host.store.checkpoint(CONSUMER, STATE);
    if (saved !== undefined) {
      const forgotten = host.processor.load(saved, host.nowUs());
      if (forgotten.length > 0) {
        host.report(`The state of ${forgotten.join(", ")} is let go: the configuration has changed`);
      }
    }
    return new Processing(options, host, positions);
  }

  /** Whether all that is visible was processed. While lanes are held it is not, if they have something. */
  get isCaughtUp(): boolean {
    return this.#feeds.every((feed) => !feed.isBehind);
  }

  /** Whether everything that was published is known to be durable, and everything processed is committed. */
  get isSettled(): boolean {
    const { outbox } = this.#host.processor;
    const isConcluded = this.#host.processor.delegation?.isIdle !== false;
    return this.isCaughtUp && isConcluded && outbox.count === 0 && !this.#isDirty;
  }

  /** Processes at most one batch, and does what is due. @returns Whether there may be more at once. */
  async turn(): Promise<boolean> {
    const { processor, letters, offer } = this.#host;
    let moved = letters.flush();
    if (processor.outbox.send(offer)) moved = true;
    if (!processor.outbox.isFull && !letters.isFull) {
      if (processor.concludeAnswered()) {
        this.#hasAnswers = true;
        moved = true;
      }
      if (processor.retries.count > 0 && processor.retry(this.#host.nowUs())) moved = true;
      const isFull = processor.retries.isFull || processor.delegation?.isFull === true;
      if (!isFull && this.#read()) moved = true;
    }
    const nowUs = this.#host.nowUs();
    if (nowUs - this.#passedUs >= PASS_US || nowUs >= processor.dueUs) this.#pass(nowUs);
    if (this.#isCommitDue()) await this.commit();
    await this.#prune();
    if (processor.outbox.send(offer)) moved = true;
    return moved;
  }

  /** Lets old results go. @throws {EscError} STORE_UNAVAILABLE. */
  async #prune(): Promise<void> {
    const { retentionMs } = this.#options;
    if (retentionMs === undefined || performance.now() - this.#prunedMs < PRUNE_MS) return;
    this.#prunedMs = performance.now();
    const names = this.#host.processor.windows.map(({ spec }) => spec.name);
    await this.#host.store.pruneResults(names, this.#host.nowUs() - retentionMs * 1000);
  }

  /** Milliseconds until a turn is due even if nothing comes. */
  dueMs(): number {
    const { processor, letters } = this.#host;
    if (processor.outbox.hasReady || !letters.isEmpty) return 1;
    let dueMs = (Math.min(processor.dueUs, processor.retries.dueUs) - this.#host.nowUs()) / 1000;
    if (this.#isDirty) dueMs = Math.min(dueMs, this.#committedMs + this.#pauseMs() - performance.now());
    return Math.max(0, dueMs);
  }

  /**
   * Stores everything in one transaction.
   *
   * @throws {Error} When another processor writes to the same store: this one must begin anew.
   * @throws {EscError} STORE_UNAVAILABLE: the outcome is unknown, and this object must not be used further.
   */
  async commit(): Promise<void> {
    const { processor, store } = this.#host;
    const startMs = performance.now();
    const { windows, alerts } = processor.takeEffects();
    this.#hasAnswers = false;
    const moves = this.#feeds.map((feed, index) => {
      const { logId, nextOffset } = this.#positions[index] as LogPosition;
      return { logId, fromOffset: nextOffset, nextOffset: feed.position };
    });
    const result = await store.commit({
      consumer: CONSUMER,
      moves,
      windows,
      alerts,
      checkpoints: [{ name: STATE, state: processor.save() }],
    });
    if (result === "conflict") throw new Error("Another processor writes to the same store");
    for (const [index, { logId, nextOffset }] of moves.entries()) {
      this.#positions[index] = { logId, nextOffset };
      this.#publish(index, nextOffset);
    }
    for (const [index, { lane, shard }] of this.#options.shards.entries()) {
      // What waits for another attempt, or is with its handler, is not processed yet.
      const parked = processor.retries.countOf(lane, shard) +
        (processor.delegation?.countOf(lane, shard) ?? 0);
      const events = (this.#uncommitted[index] as number) + (this.#parked[index] as number) - parked;
      if (events > 0) count(this.#processed, index, events);
      this.#uncommitted[index] = 0;
      this.#parked[index] = parked;
    }
    processor.outbox.release();
    this.#committedMs = performance.now();
    this.#commitMs = this.#committedMs - startMs;
  }

  close(): void {
    for (const feed of this.#feeds) feed.close();
  }

  #publish(index: number, offset: number): void {
    this.#processed[this.#processed.length / 2 + index] = offset;
  }

  get #isDirty(): boolean {
    const { processor } = this.#host;
    return this.#hasAnswers || processor.wantsCommit || processor.retries.isChanged ||
      this.#uncommitted.some((events) => events > 0);
  }

  #isCommitDue(): boolean {
    if (!this.#isDirty || !this.#host.letters.isEmpty) return false;
    return performance.now() - this.#committedMs >= this.#pauseMs();
  }

  /** Results are waited for; positions alone have time. */
  #pauseMs(): number {
    const { checkpointIntervalMs } = this.#options;
    const wantedMs = this.#host.processor.wantsCommit
      ? Math.min(COMMIT_PAUSE_MS, checkpointIntervalMs)
      : checkpointIntervalMs;
    return Math.max(wantedMs, this.#commitMs * COMMIT_PAUSE_FACTOR);
  }

  /** Processes the batch that was received first. @returns Whether there was one. */
  #read(): boolean {
    let first = -1;
    let firstUs = Infinity;
    let heldUs = Infinity;
    const isHolding = this.#host.isHolding();
    for (let index = 0; index < this.#feeds.length; index++) {
      const batch = (this.#feeds[index] as ShardFeed).next();
      if (batch === undefined) continue;
      if (isHolding && this.#options.isCritical[index] !== true) {
        heldUs = Math.min(heldUs, batch.firstReceivedUs);
      } else if (batch.firstReceivedUs < firstUs) {
        first = index;
        firstUs = batch.firstReceivedUs;
      }
    }
    const feed = this.#feeds[first];
    if (feed === undefined) return false;
    // What is held did come: rules must not miss it.
    this.#host.processor.expire(Math.min(firstUs, heldUs));
    this.#process(feed, first);
    feed.done();
    return true;
  }

  #process(feed: ShardFeed, index: number): void {
    const batch = feed.next();
    if (batch === undefined) return;
    const { processor, nowUs } = this.#host;
    const cursor = this.#cursor;
    const record = this.#record;
    const clockUs = nowUs();
    record.lane = feed.info.lane;
    record.shard = feed.info.shard;
    cursor.open(batch, feed.position);
    let events = 0;
    let receivedUs = 0;
    while (cursor.next()) {
      events++;
      const { bytes, frameAt } = cursor;
      receivedUs = cursor.receivedUs;
      const topicAt = topicStart(frameAt);
      const topicBytes = topicLength(bytes, frameAt);
      if (!processor.concerns(bytes, topicAt, topicBytes)) continue;
      record.open(bytes, frameAt, cursor.offset, receivedUs);
      processor.process(record, topicAt, topicBytes, feed.info.index, clockUs);
    }
    this.#uncommitted[index] = (this.#uncommitted[index] as number) + events;
    if (events > 0) this.#latencies[index]?.record(nowUs() - receivedUs, events);
  }

  /** Time goes on: by the clock when everything was read, else as far as the logs were. */
  #pass(nowUs: number): void {
    const { processor } = this.#host;
    this.#passedUs = nowUs;
    if (this.isCaughtUp) {
      processor.expire(nowUs);
      processor.pass(nowUs);
    }
    processor.flush(nowUs);
    this.#host.tally(nowUs);
  }
}
