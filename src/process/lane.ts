/**
 * One shard at work: what its queues hold becomes one batch, one write and, where promised, one sync.
 *
 *     take → sift (dedup) → prepare → append → sync → state, counters, verdicts → clear
 *
 * Whatever has come while the disk was busy is the next batch, so batches grow with the load by themselves.
 * A turn may end by exception or with its thread at any of these arrows: the hand says how far it came, and
 * `new Lane()` with the same memory finishes it exactly once (see `hand.ts`). Verdicts may be repeated then.
 *
 * When the log cannot be written, events whose producers wait for `durable` are refused (STATUS_FAILED, they
 * will be sent again) and counted as accepted and dropped; all others stay in hand and in the queue, where
 * the lane's overflow policy acts, and are stored when the log recovers. It is tried again every second.
 *
 * One thread. durableOffset ≤ visibleOffset ≤ nextOffset
 */
import { EscError } from "../errors.ts";
import { RUN_COUNT, RUN_LENGTH } from "../event/run.ts";
import type { DamageReport, LogDamage } from "../log/damage.ts";
import type { Files } from "../log/files.ts";
import { BATCH_HAS_IDS } from "../log/format.ts";
import type { IdMending } from "../log/mender.ts";
import { LOG_OPTIONS_DEFAULT } from "../log/segment.ts";
import { LogWriter } from "../log/writer.ts";
import { align8, RingReader } from "../queue/ring.ts";
import type { VerdictSender } from "../queue/verdicts.ts";
import { Answers } from "./answers.ts";
import { Dedup } from "./dedup.ts";
import { Hand } from "./hand.ts";
import { hashId, ID_HASH } from "./id-hash.ts";
import { learnIds } from "./learn-ids.ts";
import type { LaneLimits, LaneShardOptions, RetentionOptions } from "./options.ts";
import { Scoreboard } from "./scoreboard.ts";
import { Sift } from "./sift.ts";

/** Between two attempts to write a failed log. */
const RETRY_US = 1_000_000;
/** Between two looks at what retention may remove, when no segment is begun meanwhile. */
const RETAIN_US = 10_000_000;

/** What a lane needs from its thread. */
export interface LaneHost {
  readonly files: Files;
  /** Microseconds since the Unix epoch. */
  readonly nowUs: () => number;
  /** Nanoseconds of a clock that never goes back, for durations. */
  readonly monotonicNs: () => number;
  /** By source number. */
  readonly senders: readonly VerdictSender[];
  /** Is told of damage in the log. */
  readonly onDamage: DamageReport;
  /** Is told when the log fails or old segments cannot be removed, and when a failed log goes on. */
  readonly onFailure: (error: EscError) => void;
  readonly onRecovery: () => void;
}

export class Lane {
  readonly #options: LaneShardOptions;
  readonly #host: LaneHost;
  readonly #inputs: readonly RingReader[];
  readonly #hand: Hand;
  readonly #log: LogWriter;
  readonly #board: Scoreboard;
  readonly #dedup: Dedup | undefined;
  readonly #sift = new Sift();
  readonly #answers: Answers;
  readonly #idMending: IdMending | undefined;
  #firstInput = 0;
  /** When the oldest event was written that is not synced; -1: there is none. */
  #unsyncedSinceUs = -1;
  #retryAtUs = 0;
  #retainAtUs = 0;
  #retention: RetentionOptions;
  /** The segment that was being written when retention was last looked at. */
  #retainedSegment = -1;
  /** What main last said is not needed any more, as far as it was acted upon. */
  #dispensableOffset = 0;

  /**
   * Opens the log and finishes what a predecessor had in hand.
   *
   * @throws {EscError} As `LogWriter.open()`.
   */
  constructor(options: LaneShardOptions, host: LaneHost) {
    this.#options = options;
    this.#host = host;
    this.#retention = options.retention;
    this.#inputs = options.inputs.map((memory) => new RingReader(memory));
    this.#hand = new Hand(options.hand, options.intent);
    this.#board = new Scoreboard(options);
    this.#answers = new Answers(host.senders, options.info.index);
    const { dedup } = options;
    this.#dedup = dedup === undefined ? undefined : new Dedup(dedup);
    this.#idMending = dedup && { hash: ID_HASH, hashId, windowUs: dedup.windowMs * 1000 };
    this.#hand.settle(this.#inputs);
    this.#log = LogWriter.open(host.files, options.info.directory, {
      ...LOG_OPTIONS_DEFAULT,
      segmentBytes: options.segmentBytes,
      minFreeBytes: options.minFreeBytes,
      idHash: this.#dedup === undefined ? undefined : ID_HASH,
      nowUs: host.nowUs,
    }, (damage) => this.#noteDamage(damage));
    this.#resume();
  }

  /** Whether the log cannot be written now. */
  get hasFailed(): boolean {
    return this.#log.failure !== undefined;
  }

  /** Whether a queue has something that can be taken. */
  hasWork(): boolean {
    // A full hand in front of a failed log: only time helps.
    if (this.hasFailed && this.#hand.bodyBytes > 0) return false;
    for (const input of this.#inputs) if (!input.isEmpty()) return true;
    return false;
  }

  /** Whether everything taken is stored and synced as far as the lane promises, and the queues are empty. */
  get isDrained(): boolean {
    if (this.#hand.bodyBytes > 0 || this.hasFailed) return false;
    for (const input of this.#inputs) if (!input.isEmpty()) return false;
    return true;
  }

  /**
   * Stores what the queues hold, at most one batch, and does what is due.
   *
   * @returns Whether anything was taken or stored.
   */
  turn(): boolean {
    const nowUs = this.#host.nowUs();
    if (this.hasFailed && nowUs >= this.#retryAtUs) this.#recover(nowUs);
    // A predecessor's batch may be in hand, and fill it.
    const held = this.#hand.bodyBytes;
    const taken = this.#gather();
    if (this.#hand.bodyBytes > 0) {
      if (this.hasFailed) this.#refuse();
      else this.#commit(nowUs);
    }
    this.#tick(nowUs);
    return taken > 0 || this.#hand.bodyBytes < held;
  }

  /**
   * Rebuilds a piece of a side file that is missing or damaged: for moments in which a turn did nothing.
   *
   * @returns `false` when there was nothing to do.
   */
  mend(): boolean {
    return !this.hasFailed && this.#log.mend(this.#idMending);
  }

  /** Microseconds until a turn is due even if nothing comes; Infinity: never. */
  dueUs(nowUs: number): number {
    if (this.hasFailed) return this.#retryAtUs - nowUs;
    const { durability, syncIntervalMs } = this.#options;
    if (durability !== "interval" || this.#unsyncedSinceUs < 0) return this.#retainAtUs - nowUs;
    return Math.min(this.#unsyncedSinceUs + syncIntervalMs * 1000, this.#retainAtUs) - nowUs;
  }

  /** Takes over other limits; what they no longer keep goes with the next turn. */
  applyLimits({ retention, dedupWindowMs }: LaneLimits): void {
    this.#retention = retention;
    this.#retainAtUs = 0;
    if (this.#dedup !== undefined) this.#dedup.windowMs = dedupWindowMs;
  }

  /** Makes everything written durable, whatever the lane promises. A failure shows in `hasFailed`. */
  sync(): void {
    if (!this.hasFailed) this.#sync();
  }

  /** Syncs and closes the log. A sync that fails is reported like any other. */
  close(): void {
    this.sync();
    this.#log.close();
  }

  /** Goes on after a predecessor, or begins. */
  #resume(): void {
    const hand = this.#hand;
    const log = this.#log;
    const isSuccessor = hand.wasOpened;
    if (isSuccessor) {
      this.#passVisible();
      this.#board.publish(log);
    } else this.#board.begin(log);
    const end = hand.isPrepared ? hand.baseOffset : log.nextOffset;
    const decidedUs = hand.isPrepared ? hand.decidedUs : this.#host.nowUs();
    this.#learnIds(end, decidedUs);
    hand.setOpened();
    if (!hand.isPrepared) return;
    const isInLog = !this.hasFailed && log.nextOffset >= hand.baseOffset + hand.stored;
    if (!isInLog) {
      hand.unprepare();
      return;
    }
    this.#dedup?.expire(decidedUs);
    this.#walk(hand.baseOffset);
    this.#finish();
  }

  #learnIds(endOffset: number, nowUs: number): void {
    const dedup = this.#dedup;
    const { info, dedup: options } = this.#options;
    if (dedup === undefined || options === undefined) return;
    learnIds(dedup, {
      files: this.#host.files,
      directory: info.directory,
      fromUs: nowUs - options.windowMs * 1000,
      endOffset,
      onDamage: (damage) => this.#noteDamage(damage),
    });
    dedup.expire(nowUs);
  }

  /** Takes as much as the hand holds, each input in its turn. @returns Bytes taken. */
  #gather(): number {
    const inputs = this.#inputs;
    const hand = this.#hand;
    let taken = 0;
    for (let index = 0; index < inputs.length; index++) {
      const number = (this.#firstInput + index) % inputs.length;
      taken += hand.take(inputs[number] as RingReader, number);
    }
    if (inputs.length > 1) this.#firstInput = (this.#firstInput + 1) % inputs.length;
    return taken;
  }

  #walk(baseOffset: number): void {
    const hand = this.#hand;
    const from = hand.bodyAt;
    this.#sift.walk(hand.bytes, hand.words, from, from + hand.bodyBytes, baseOffset, this.#dedup);
  }

  #commit(nowUs: number): void {
    const hand = this.#hand;
    const log = this.#log;
    const sift = this.#sift;
    const baseOffset = log.nextOffset;
    this.#dedup?.expire(nowUs);
    this.#walk(baseOffset);
    hand.prepare(baseOffset, sift.stored, nowUs);
    this.#board.recordQueue(hand.words, sift, nowUs);
    try {
      if (sift.stored > 0) this.#append();
      if (this.#options.durability === "fsync" || sift.wantsDurable) this.#syncOrThrow();
    } catch (error) {
      if (!(error instanceof EscError) || error.code !== "LOG_UNAVAILABLE") throw error;
      this.#fail(error, baseOffset);
      return;
    }
    this.#finish();
  }

  /** Writes the new events as one batch: straight from the hand, or, when some must not go, rewritten. */
  #append(): void {
    const hand = this.#hand;
    const log = this.#log;
    const sift = this.#sift;
    const isWhole = sift.duplicates === 0;
    const headerAt = isWhole ? hand.headerAt : hand.otherHeaderAt;
    const bodyAt = headerAt + hand.bodyAt - hand.headerAt;
    const bodyBytes = isWhole ? hand.bodyBytes : sift.rewrite(hand.bytes, hand.words, bodyAt);
    const flags = sift.hasIds ? BATCH_HAS_IDS : 0;
    const { stored, receivedMinUs, receivedMaxUs } = sift;
    const baseOffset = log.append(
      hand.bytes,
      headerAt,
      bodyBytes,
      stored,
      receivedMinUs,
      receivedMaxUs,
      flags,
    );
    if (sift.hasIds) {
      this.#dedup?.visitFrom(
        baseOffset,
        (low, high, offset, receivedUs) => log.addId(low, high, offset, receivedUs),
      );
    }
    if (this.#unsyncedSinceUs < 0) this.#unsyncedSinceUs = this.#host.nowUs();
    this.#board.appended(bodyBytes);
  }

  /** The batch in hand is stored: everybody hears of it, and the hand is empty. */
  #finish(): void {
    const hand = this.#hand;
    const sift = this.#sift;
    this.#board.recordAppend(hand.words, sift, this.#host.nowUs());
    // Before the answers: who was told that an event is durable finds it in the counters.
    this.#board.stored(sift);
    this.#board.publish(this.#log);
    this.#answers.stored(hand.words, sift);
    this.#answers.flush(sift.stored > 0);
    hand.clear();
  }

  #syncOrThrow(): void {
    const { durableOffset, nextOffset } = this.#log;
    if (durableOffset === nextOffset) return;
    const startNs = this.#host.monotonicNs();
    this.#log.sync();
    this.#board.synced((this.#host.monotonicNs() - startNs) / 1000);
    this.#unsyncedSinceUs = -1;
  }

  #sync(): void {
    try {
      this.#syncOrThrow();
    } catch (error) {
      if (!(error instanceof EscError) || error.code !== "LOG_UNAVAILABLE") throw error;
      this.#fail(error, this.#log.nextOffset);
    }
    this.#board.publish(this.#log);
    this.#answers.flush(false);
  }

  /** @param baseOffset Events from here on did not reach the log. */
  #fail(error: EscError, baseOffset: number): void {
    this.#dedup?.forgetFrom(baseOffset);
    this.#hand.unprepare();
    this.#retryAtUs = this.#host.nowUs() + RETRY_US;
    this.#board.publish(this.#log);
    this.#host.onFailure(error);
    if (this.#hand.bodyBytes > 0) this.#refuse();
  }

  #recover(nowUs: number): void {
    const { durableOffset, nextOffset } = this.#log;
    const keepBelow = Math.min(Math.max(this.#board.visibleOffset, durableOffset), nextOffset);
    try {
      this.#log.recover(keepBelow);
    } catch (error) {
      if (!(error instanceof EscError) || error.code !== "LOG_UNAVAILABLE") throw error;
      this.#retryAtUs = nowUs + RETRY_US;
      return;
    }
    this.#unsyncedSinceUs = -1;
    this.#passVisible();
    this.#board.publish(this.#log);
    if (!this.hasFailed) this.#host.onRecovery();
  }

  /** What readers have seen and the log has not any more leaves a gap. */
  #passVisible(): void {
    try {
      this.#log.skipTo(this.#board.visibleOffset);
    } catch (error) {
      if (!(error instanceof EscError) || error.code !== "LOG_UNAVAILABLE") throw error;
      this.#fail(error, this.#log.nextOffset);
    }
  }

  /** Sends back what its producers wait for, so that they learn of it; keeps the rest in hand. */
  #refuse(): void {
    const hand = this.#hand;
    const { words, bytes, bodyAt } = hand;
    const end = bodyAt + hand.bodyBytes;
    const keptAt = hand.otherHeaderAt + bodyAt - hand.headerAt;
    let kept = keptAt;
    let refused = 0;
    for (let at = bodyAt; at < end;) {
      const padded = align8(words[(at >> 2) + RUN_LENGTH] as number);
      if (this.#answers.failed(words, at)) {
        refused += words[(at >> 2) + RUN_COUNT] as number;
      } else {
        bytes.copyWithin(kept, at, at + padded);
        kept += padded;
      }
      at += padded;
    }
    if (refused === 0) return;
    this.#answers.flush(false);
    hand.flip(kept - keptAt);
    this.#board.refused(refused);
  }

  /** What is due by the clock. */
  #tick(nowUs: number): void {
    const { durability, syncIntervalMs } = this.#options;
    const isDue = this.#unsyncedSinceUs >= 0 && nowUs - this.#unsyncedSinceUs >= syncIntervalMs * 1000;
    if (durability === "interval" && isDue && !this.hasFailed) this.#sync();
    const isDueToRetain = nowUs >= this.#retainAtUs || this.#log.segmentOffset !== this.#retainedSegment ||
      this.#board.dispensableOffset > this.#dispensableOffset;
    if (isDueToRetain) this.#retain(nowUs);
  }

  #retain(nowUs: number): void {
    const looksForMissing = nowUs >= this.#retainAtUs;
    this.#retainAtUs = nowUs + RETAIN_US;
    this.#dispensableOffset = this.#board.dispensableOffset;
    const { maxAgeMs, maxBytes } = this.#retention;
    const maxAgeUs = maxAgeMs === undefined ? undefined : maxAgeMs * 1000;
    try {
      this.#log.retain({ maxAgeUs, maxBytes, dispensableOffset: this.#dispensableOffset, nowUs });
    } catch (error) {
      // Removal failed: the log goes on as it is, and the next look tries again.
      if (!(error instanceof EscError) || error.code !== "LOG_UNAVAILABLE") throw error;
      this.#host.onFailure(error);
    }
    this.#retainedSegment = this.#log.segmentOffset;
    if (looksForMissing) this.#log.lookForMissing();
    this.#board.publish(this.#log);
  }

  #noteDamage(damage: LogDamage): void {
    if (damage.kind === "corrupt") this.#board.damaged();
    // Whoever sends a lost event again must not hear that it is stored. Ids behind the gap go with it: an
    // event that comes twice after a failed sync is better than one that never does.
    if (damage.kind === "lost") this.#dedup?.forgetFrom(damage.fromOffset);
    this.#host.onDamage(damage);
  }
}
