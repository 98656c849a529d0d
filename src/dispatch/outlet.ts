/**
 * One shard's queue, from the dispatcher's side: takes runs in, and decides what happens when it is full.
 *
 *     block     the run waits in the parking ring; while anything is parked, newer runs park behind it,
 *               so the order within the shard stays. A full parking ring refuses: the run stays where it is.
 *     drop_old  the oldest runs make room and become dead letters
 *     drop_new  the run becomes a dead letter, after a few short waits for the lane
 *
 * While the control plane sheds, events below a priority become dead letters before they get here, unless the
 * policy is `block`: such a lane never loses anything. They are as many as the DLQ can store: where it is behind,
 * they wait for it in the parking ring, and the connections that they come from are not read.
 *
 * Dispatcher thread only. Nothing is visible to the lane before `flush()`.
 */
import { frameLength, framePriority } from "../event/ext.ts";
import { DROP_REASONS, PRIORITY_BATCH } from "../event/frame.ts";
import type { DropReason } from "../event/frame.ts";
import { ACKS_ACCEPTED, ACKS_DURABLE, ACKS_NONE, RUN_HEADER_BYTES } from "../event/run.ts";
import { RUN_CONNECTION, RUN_COUNT, RUN_LENGTH, RUN_ORIGIN } from "../event/run.ts";
import { count, openCounters } from "../metrics/counters.ts";
import {
  DISPATCH_DROPPED,
  DISPATCH_ENQUEUED,
  DISPATCH_FULL,
  DISPATCH_PARKED_BYTES,
  DISPATCH_PRESSURE,
} from "../metrics/layout.ts";
import { STATUS_DROPPED, STATUS_OK } from "../queue/completions.ts";
import { Doorbell } from "../queue/doorbell.ts";
import { RingReader, RingWriter } from "../queue/ring.ts";
import type { VerdictSender } from "../queue/verdicts.ts";
import type { BlockedConnections } from "./blocked.ts";
import type { DeadLetterBox } from "./dead-letters.ts";
import type { DispatchShard } from "./options.ts";
import { PRESSURE_CRITICAL, PRESSURE_NORMAL, pressureOf } from "./pressure.ts";
import type { PressureRatios } from "./pressure.ts";
import type { RouteLane } from "./route.ts";
import { copyRun, firstSeqOf, type RunPart } from "./run-copy.ts";

/** Waits for a full lane with `drop_new` before the run is dropped: once a turn, or all lanes would wait. */
const RETRY_MS = [0.01, 0.02, 0.02] as const;
/** Events taken out at once while a batch lane is under critical pressure. */
const SHED_EVENTS = 64;

/** What all outlets of a dispatcher share. */
export interface OutletContext {
  /** By source number. */
  readonly verdicts: readonly VerdictSender[];
  readonly blocked: BlockedConnections;
  readonly deadLetters: DeadLetterBox;
  readonly pressure: PressureRatios;
}

export class Outlet {
  readonly counters: Float64Array;
  /** `PRESSURE_…` as of the last `refresh()`. */
  pressure = PRESSURE_NORMAL;
  readonly #shard: DispatchShard;
  readonly #context: OutletContext;
  readonly #writer: RingWriter;
  readonly #parking: RingReader;
  readonly #parkingWriter: RingWriter;
  readonly #doorbell: Doorbell;
  readonly #nap = new Int32Array(new SharedArrayBuffer(4));
  readonly #parked: RunPart;
  readonly #dropped: RunPart;
  /** Sheds its oldest events under critical pressure. */
  readonly #sheds: boolean;
  /** Events below this priority are taken out; 0: none. */
  #shedBelow = 0;
  #isParking: boolean;
  #isTouched = false;
  #hasWaited = false;

  constructor(shard: DispatchShard, lane: RouteLane, context: OutletContext) {
    this.#shard = shard;
    this.#context = context;
    this.#writer = new RingWriter(shard.ring);
    this.#parking = new RingReader(shard.parking);
    this.#parkingWriter = new RingWriter(shard.parking);
    this.#doorbell = new Doorbell(shard.laneDoorbell);
    this.counters = openCounters(shard.counters);
    this.#parked = partOf(this.#parking.bytes, this.#parking.words);
    this.#dropped = partOf(this.#writer.bytes, this.#writer.words);
    this.#sheds = lane.priorities.includes(PRIORITY_BATCH) && shard.overflow !== "block";
    this.#isParking = !this.#parking.isEmpty();
    if (this.#isParking) this.#blockParked();
  }

  /** Whether runs wait for room. */
  get isParking(): boolean {
    return this.#isParking;
  }

  /**
   * Once a turn, before anything is offered: moves what is parked, judges the pressure, sheds.
   *
   * @param shedBelow Events below this priority are not taken in where any may be lost; 0: all are.
   */
  refresh(shedBelow: number): void {
    this.#hasWaited = false;
    this.#shedBelow = this.#shard.overflow === "block" ? 0 : shedBelow;
    if (this.#isParking) this.#unpark();
    this.#judge();
    if (this.#sheds && this.pressure === PRESSURE_CRITICAL) this.#shed();
  }

  /**
   * Takes a part of a run in, in whatever way the overflow policy says.
   *
   * @returns `false` when it must wait where it is; nothing has happened then.
   */
  offer(part: RunPart): boolean {
    if (this.#shedBelow > 0) return this.#offerSome(part);
    return this.#take(part);
  }

  #take(part: RunPart): boolean {
    if (this.#isParking && this.#shard.overflow === "block") return this.#park(part);
    if (copyRun(this.#writer, part)) {
      this.#enqueued(part);
      return true;
    }
    count(this.counters, DISPATCH_FULL, 1);
    switch (this.#shard.overflow) {
      case "block":
        return this.#park(part);
      case "drop_old":
        if (this.#makeRoom(part)) this.#enqueued(part);
        else this.#drop(part, "queue_full", ACKS_ACCEPTED);
        return true;
      case "drop_new":
        if (this.#waitForRoom(part)) this.#enqueued(part);
        else this.#drop(part, "queue_full", ACKS_ACCEPTED);
        return true;
    }
  }

  /** Makes everything visible to the lane and wakes it. Once a turn. */
  flush(): void {
    if (!this.#isTouched) return;
    this.#isTouched = false;
    this.#writer.publish();
    this.#doorbell.ring();
  }

  /** Takes in what is important enough, event by event. The part is as it was when it returns. */
  #offerSome(part: RunPart): boolean {
    const { bytes, from, to, count, skipped } = part;
    part.to = from;
    part.count = 0;
    let fate: DropReason | undefined;
    for (let at = from; at < to;) {
      const itsFate = this.#fateOf(framePriority(bytes, at));
      if (itsFate !== fate) {
        this.#settle(part, fate);
        fate = itsFate;
      }
      at += frameLength(bytes, at);
      part.to = at;
      part.count++;
    }
    this.#settle(part, fate);
    part.from = from;
    part.to = to;
    part.count = count;
    part.skipped = skipped;
    return true;
  }

  #fateOf(priority: number): DropReason | undefined {
    if (priority >= this.#shedBelow) return undefined;
    return priority === PRIORITY_BATCH ? "shed" : "emergency_drop";
  }

  /** Events of one fate in a row; the part goes on behind them. */
  #settle(part: RunPart, fate: DropReason | undefined): void {
    if (part.count > 0) {
      // A lane that may lose events always takes a run in, one way or another.
      if (fate === undefined) this.#take(part);
      else this.#shedPart(part, fate);
    }
    part.from = part.to;
    part.skipped += part.count;
    part.count = 0;
  }

  #shedPart(part: RunPart, fate: DropReason): void {
    const mustWait = this.#isParking || this.#context.deadLetters.isCrowded;
    // With no place to wait either it is dropped, and the DLQ takes what it can.
    if (mustWait && this.#park(part)) return;
    this.#drop(part, fate, ACKS_ACCEPTED);
  }

  /** Gives a parked run its end. @returns `false` when it must wait longer. */
  #release(part: RunPart): boolean {
    if (this.#shard.overflow === "block") {
      if (!copyRun(this.#writer, part)) return false;
      this.#enqueued(part);
      return true;
    }
    if (this.#context.deadLetters.isCrowded) return false;
    const isBatch = framePriority(part.bytes, part.from) === PRIORITY_BATCH;
    this.#drop(part, isBatch ? "shed" : "emergency_drop", ACKS_ACCEPTED);
    return true;
  }

  #enqueued(part: RunPart): void {
    this.#isTouched = true;
    count(this.counters, DISPATCH_ENQUEUED, part.count);
    if (acksOf(part) === ACKS_ACCEPTED) this.#answer(part, STATUS_OK, 0);
  }

  #park(part: RunPart): boolean {
    if (!copyRun(this.#parkingWriter, part)) return false;
    this.#parkingWriter.publish();
    this.#isParking = true;
    this.#context.blocked.block(this.#shard.info.index, sourceOf(part), connectionOf(part));
    return true;
  }

  #unpark(): void {
    const parking = this.#parking;
    const part = this.#parked;
    for (let at = parking.next(); at >= 0; at = parking.next()) {
      openRun(part, at);
      if (!this.#release(part)) {
        parking.stepBack();
        break;
      }
    }
    // Visible in the lane before it leaves the parking ring: a crash in between repeats, it does not lose.
    if (this.#isTouched) this.flush();
    if (this.#shard.overflow !== "block") this.#context.deadLetters.flush();
    parking.release();
    const bytes = parking.depthBytes();
    this.#isParking = bytes > 0;
    if (bytes <= parking.capacityBytes / 2) this.#context.blocked.unblock(this.#shard.info.index);
  }

  /** After a restart: the flags may be lost, the parked runs are not. */
  #blockParked(): void {
    const parking = this.#parking;
    for (let at = parking.next(); at >= 0; at = parking.next()) {
      openRun(this.#parked, at);
      const part = this.#parked;
      this.#context.blocked.block(this.#shard.info.index, sourceOf(part), connectionOf(part));
    }
    parking.rewind();
  }

  #judge(): void {
    this.pressure = pressureOf(this.#writer.depthBytes(), this.#writer.capacityBytes, this.#context.pressure);
    this.counters[DISPATCH_PRESSURE] = this.pressure;
    this.counters[DISPATCH_PARKED_BYTES] = this.#isParking ? this.#parking.depthBytes() : 0;
  }

  /**
   * Whole runs, so at least one: a run is what one read of one connection brought. Fewer events than
   * SHED_EVENTS where those are large: half a queue is never given up at once.
   */
  #shed(): void {
    const writer = this.#writer;
    for (let events = 0; events < SHED_EVENTS && writer.depthBytes() * 2 > writer.capacityBytes;) {
      const dropped = this.#dropOldest("backpressure_drop");
      if (dropped === 0) break;
      events += dropped;
    }
    this.#judge();
  }

  /** Drops the oldest runs until the part is in. @returns `false` when it does not even fit alone. */
  #makeRoom(part: RunPart): boolean {
    for (;;) {
      const dropped = this.#dropOldest("drop_old");
      if (copyRun(this.#writer, part)) return true;
      if (dropped === 0) return false;
    }
  }

  /** @returns Events dropped, 0 when the lane has emptied the queue meanwhile. */
  #dropOldest(reason: DropReason): number {
    const at = this.#writer.dropOldest();
    // Everything reserved is visible now.
    this.#isTouched = true;
    if (at < 0) return 0;
    openRun(this.#dropped, at);
    // Those who asked for `accepted` have been told already.
    this.#drop(this.#dropped, reason, ACKS_DURABLE);
    return this.#dropped.count;
  }

  #drop(part: RunPart, reason: DropReason, acksFrom: number): void {
    const detail = DROP_REASONS.indexOf(reason);
    count(this.counters, DISPATCH_DROPPED + detail, part.count);
    this.#context.deadLetters.bury(part, this.#shard.info, reason);
    if (acksOf(part) >= acksFrom) this.#answer(part, STATUS_DROPPED, detail);
  }

  #waitForRoom(part: RunPart): boolean {
    if (this.#hasWaited) return false;
    this.#hasWaited = true;
    this.#isTouched = true;
    for (const ms of RETRY_MS) {
      this.#writer.publish();
      this.#doorbell.ring();
      Atomics.wait(this.#nap, 0, 0, ms);
      if (copyRun(this.#writer, part)) return true;
    }
    return false;
  }

  #answer(part: RunPart, status: number, detail: number): void {
    if (acksOf(part) === ACKS_NONE) return;
    const sender = this.#context.verdicts[sourceOf(part)];
    if (sender === undefined) return;
    sender.send(connectionOf(part), status, part.count, firstSeqOf(part), -1, this.#shard.info.index, detail);
  }
}

function partOf(bytes: Uint8Array, words: Int32Array): RunPart {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { bytes, words, view, runAt: 0, from: 0, to: 0, count: 0, skipped: 0 };
}

/** Makes `part` the whole run at `at`. */
function openRun(part: RunPart, at: number): void {
  const word = at >> 2;
  part.runAt = at;
  part.from = at + RUN_HEADER_BYTES;
  part.to = at + (part.words[word + RUN_LENGTH] as number);
  part.count = part.words[word + RUN_COUNT] as number;
  part.skipped = 0;
}

function connectionOf(part: RunPart): number {
  return part.words[(part.runAt >> 2) + RUN_CONNECTION] as number;
}

function sourceOf(part: RunPart): number {
  return (part.words[(part.runAt >> 2) + RUN_ORIGIN] as number) & 0xff;
}

function acksOf(part: RunPart): number {
  return ((part.words[(part.runAt >> 2) + RUN_ORIGIN] as number) >>> 16) & 0xff;
}
