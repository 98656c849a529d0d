/**
 * One simulated life of a log: producers, a lane, readers, and a disk that fails, judged by a plain model.
 *
 * The seed decides everything. What must hold, whatever happens:
 *
 *  1. An acknowledged event is in the log, once, at the offset it was acknowledged for, until retention removes it.
 *  2. No id is in the log twice.
 *  3. Events of a producer are in its order, although it sends again after every break.
 *  4. A reader gets at an offset what was appended there, and nothing else.
 *  5. Offsets are dense. Where they are not, the log has reported exactly these as damaged or lost.
 *  6. The log opens, whatever its files look like, and works again when the disk does.
 */

import { payloadEnd, payloadStart } from "../../src/event/ext.ts";
import { EventCursor } from "../../src/log/batch.ts";
import { describeDamage, type LogDamage } from "../../src/log/damage.ts";
import type { Files } from "../../src/log/files.ts";
import { LogReader } from "../../src/log/reader.ts";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { SimDisk } from "./disk.ts";
import {
  type Durability,
  idOf,
  type LaneUnderTest,
  type SimEvent,
  type SimLaneEvents,
  type SimLaneOptions,
} from "./events.ts";
import { judge } from "./judge.ts";
import { SimLane } from "./lane.ts";
import { SimRandom } from "./random.ts";

const DIRECTORY = "log";
const PRODUCERS = 3;
const STEPS_MAX = 120;
/** More turns than any healthy lane needs to become idle, and longer than any pause before a retry. */
const DRAIN_TURNS_MAX = 1000;
const DRAIN_TURN_US = 1_100_000;

/** Parts of the simulation that a test may replace: another lane, or a planted bug. */
export interface SimParts {
  readonly files: (disk: SimDisk) => Files;
  readonly lane: (files: Files, options: SimLaneOptions, events: SimLaneEvents) => LaneUnderTest;
  /** Is told what happens, to follow a seed that fails. */
  readonly trace: (line: string) => void;
}

export const SIM_PARTS: SimParts = {
  files: (disk) => disk,
  lane: (files, options, events) => new SimLane(files, options, events),
  trace: () => {},
};

/** A promise that was broken; the message says which, and by which seed. */
export class SimViolation extends Error {
  override readonly name = "SimViolation";
}

interface Producer {
  nextSeq: number;
  /** Sent or to be sent, without an acknowledgement; ascending. */
  unacknowledged: SimEvent[];
}

export class SimWorld {
  readonly disk: SimDisk;
  readonly #random: SimRandom;
  readonly #seed: number;
  readonly #parts: SimParts;
  readonly #files: Files;
  readonly #options: SimLaneOptions;
  readonly #producers: readonly Producer[];
  readonly #acknowledged = new Map<string, number>();
  /** What was last appended at each offset, and in which batch; nothing from lanes that do not tell. */
  readonly #appended = new Map<number, SimEvent>();
  readonly #batchOf = new Map<number, string>();
  #damages: LogDamage[] = [];
  #nowUs = 1_700_000_000_000_000;
  #lane: LaneUnderTest | undefined;
  #reader: LogReader;
  /** Bits flipped so far; a world that flips never loses power (docs/log-format.md says why). */
  #flips = 0;
  readonly #mayFlip: boolean;
  readonly #mayRetain: boolean;
  /** Producers have to send again as soon as the lane works. */
  #isRefused = false;
  #wasRefused = false;
  #steps = 0;
  #lives = 0;

  constructor(seed: number, parts: SimParts = SIM_PARTS) {
    this.#seed = seed;
    const random = new SimRandom(seed);
    this.#random = random;
    this.#parts = parts;
    this.disk = new SimDisk(random);
    this.disk.canPreallocate = random.chance(0.8);
    this.#files = parts.files(this.disk);
    this.#mayFlip = random.chance(0.2);
    // With a flipped bit, only the index can tell the last durable batches from a torn tail.
    if (this.#mayFlip) this.disk.reliablePaths = /\.idx$/;
    this.#mayRetain = random.chance(0.3);
    this.#options = {
      directory: DIRECTORY,
      durability: random.pick<Durability>(["fsync", "fsync", "interval", "none"]),
      batchCountMax: random.pick([1, 4, 20]),
      retainBytes: this.#mayRetain ? 10_000 : undefined,
      log: {
        ...LOG_OPTIONS_DEFAULT,
        segmentBytes: random.pick([1024, 4096, 16384]),
        indexBytes: random.pick([128, 1024]),
        minFreeBytes: 0,
        nowUs: () => this.#nowUs,
        random: (words) => {
          for (let index = 0; index < words.length; index++) words[index] = random.bits();
        },
      },
    };
    this.#producers = Array.from({ length: PRODUCERS }, () => ({ nextSeq: 1, unacknowledged: [] }));
    this.#reader = this.#newReader();
  }

  /** Lives through the whole life. @throws {SimViolation} */
  run(): void {
    this.#start();
    const steps = this.#random.between(10, STEPS_MAX);
    for (this.#steps = 0; this.#steps < steps; this.#steps++) {
      this.#nowUs += this.#random.below(200_000);
      this.#parts.trace(`step ${this.#steps} ${this.#describe()}`);
      this.#step();
      if (this.disk.isStopped) this.#die();
    }
    this.#end();
  }

  #describe(): string {
    const lane = this.#lane;
    if (lane === undefined) return "no lane";
    return `${this.#options.durability} visible ${lane.visibleOffset} next ${lane.nextOffset} ${lane.trouble}`;
  }

  #fail(what: string): never {
    throw new SimViolation(`seed ${this.#seed}, step ${this.#steps}: ${what}`);
  }

  #step(): void {
    const random = this.#random;
    const choice = random.below(100);
    if (choice < 35) this.#produce();
    else if (choice < 70) this.#turn({ sync: random.chance(0.4), countMax: random.between(1, 20) });
    else if (choice < 80) this.#read(random.between(1, 10));
    else if (choice < 83) this.#die();
    else if (choice < 85) this.#closeAndStart();
    else if (choice < 88) this.disk.failsAtCall = random.between(1, 12);
    else if (choice < 91) this.disk.stopsAtCall = random.between(1, 12);
    else if (choice < 93) this.disk.capacityBytes = this.disk.usedBytes() + random.below(2048);
    else if (choice < 95) this.disk.heal();
    else if (choice < 97) this.#spoilSideFile();
    else if (choice < 99 && this.#mayRetain) this.#retain();
    else if (this.#mayFlip) this.#flipBit();
  }

  #produce(): void {
    const random = this.#random;
    const index = random.below(PRODUCERS);
    const producer = this.#producers[index] as Producer;
    const events = Array.from({ length: random.between(1, 8) }, () => ({
      producer: index,
      seq: producer.nextSeq++,
      payloadBytes: random.below(200),
    }));
    producer.unacknowledged.push(...events);
    this.#lane?.send(events);
  }

  #turn(options: { sync: boolean; countMax: number }): void {
    const lane = this.#lane;
    if (lane === undefined) return;
    if (this.#isRefused && lane.trouble === "") {
      this.#isRefused = false;
      this.#sendAgain(lane);
    }
    lane.turn(options);
  }

  /** Every producer sends what nobody acknowledged, in order. */
  #sendAgain(lane: LaneUnderTest): void {
    for (const producer of this.#producers) lane.send(producer.unacknowledged);
  }

  /** A thread ends, or its process, or the power goes; then life goes on. */
  #die(): void {
    const lane = this.#lane;
    const choice = this.#random.below(4);
    if (choice === 0 && lane !== undefined) {
      this.disk.killProcess();
      this.#reader = this.#newReader();
      const successor = this.#tryStart(() => lane.succeed());
      if (successor !== undefined) {
        this.#parts.trace(`succeeded: ${this.#describe()}`);
        return;
      }
    }
    if (this.#mayFlip || choice < 2) this.disk.killProcess();
    else {
      this.disk.losePower();
      this.#parts.trace("power lost");
    }
    this.#start();
  }

  #closeAndStart(): void {
    try {
      this.#lane?.close();
    } catch {
      // A failed sync while closing: whatever was acknowledged before must be there all the same.
    }
    this.disk.killProcess();
    this.#start();
  }

  /** A new process: every producer connects again. */
  #start(): void {
    this.#lives++;
    this.#isRefused = false;
    this.#reader = this.#newReader();
    const lane = this.#tryStart(() => this.#parts.lane(this.#files, this.#options, this.#eventsOfLane()));
    this.#parts.trace(`started: ${this.#describe()}`);
    if (lane !== undefined) this.#sendAgain(lane);
  }

  #tryStart(start: () => LaneUnderTest | undefined): LaneUnderTest | undefined {
    this.#lane = undefined;
    try {
      this.#lane = start();
    } catch (error) {
      // Only a disk that stops in the middle may keep the log from opening.
      if (!this.disk.isStopped) this.#fail(`the log does not open: ${String(error)}`);
    }
    return this.#lane;
  }

  #eventsOfLane(): SimLaneEvents {
    const life = this.#lives;
    return {
      onAppending: (event, offset, batch) => {
        this.#parts.trace(`appending ${idOf(event)} at ${offset}`);
        this.#appended.set(offset, event);
        this.#batchOf.set(offset, `${life}/${batch}`);
      },
      onAcknowledged: (event, offset) => this.#onAcknowledged(event, offset),
      onRefused: () => {
        this.#isRefused = true;
        this.#wasRefused = true;
      },
      onDamage: (damage) => {
        this.#parts.trace(describeDamage(damage));
        this.#damages.push(damage);
      },
    };
  }

  #onAcknowledged(event: SimEvent, offset: number): void {
    this.#parts.trace(`acknowledged ${idOf(event)} at ${offset}`);
    this.#acknowledged.set(idOf(event), offset);
    const producer = this.#producers[event.producer] as Producer;
    producer.unacknowledged = producer.unacknowledged.filter((other) => other.seq !== event.seq);
  }

  #newReader(): LogReader {
    return new LogReader(this.#files, DIRECTORY, (damage) => this.#damages.push(damage));
  }

  /** A live subscriber reads on. */
  #read(batches: number): void {
    const visibleOffset = this.#lane?.visibleOffset ?? 0;
    if (this.#random.chance(0.2)) this.#reader.seek(this.#random.below(visibleOffset + 1));
    for (let count = 0; count < batches && !this.disk.isStopped; count++) {
      if (this.#readBatch(this.#reader, visibleOffset, () => {}) === 0) return;
    }
  }

  /** Reads one batch and checks that it holds what was appended there. @returns Events in it. */
  #readBatch(
    reader: LogReader,
    visibleOffset: number,
    use: (event: SimEvent, offset: number) => void,
  ): number {
    const batch = reader.nextBatch(visibleOffset);
    if (batch === undefined) return 0;
    const cursor = new EventCursor();
    cursor.open(batch);
    while (cursor.next()) {
      const { bytes, frameAt, offset } = cursor;
      const payload = bytes.slice(payloadStart(bytes, frameAt), payloadEnd(bytes, frameAt));
      use(this.#eventOf(new TextDecoder().decode(payload), offset), offset);
    }
    return batch.count;
  }

  /** The event a payload was made from: one id, repeated, and the one that was appended at this offset. */
  #eventOf(payload: string, offset: number): SimEvent {
    const [id = "", producer, seq] = /^p(\d+)-(\d+) /.exec(payload) ?? [];
    const appended = this.#appended.get(offset);
    const isWhole = payload.length > 0 && payload === id.repeat(payload.length / id.length);
    if (!isWhole || (appended !== undefined && `${idOf(appended)} ` !== id)) {
      this.#fail(`offset ${offset} reads '${payload}', appended was '${appended && idOf(appended)}'`);
    }
    return { producer: Number(producer), seq: Number(seq), payloadBytes: 0 };
  }

  #retain(): void {
    try {
      this.#lane?.retain(this.#random.between(2000, 40_000), this.#nowUs);
    } catch {
      // The disk refused a removal: nothing else may have changed.
    }
  }

  /** Side files are hints: they may vanish or hold anything. */
  #spoilSideFile(): void {
    if (this.#mayFlip) return;
    const random = this.#random;
    const paths = this.disk.paths().filter((path) => path.endsWith(".idx") || path.endsWith(".ids"));
    if (paths.length === 0) return;
    const path = random.pick(paths);
    const content = this.disk.content(path);
    const choice = random.below(3);
    if (choice === 0) this.disk.erase(path);
    else if (choice === 1) this.disk.overwrite(path, content.slice(0, random.below(content.length + 1)));
    else this.disk.overwrite(path, content.map((byte) => random.chance(0.1) ? random.below(256) : byte));
  }

  #flipBit(): void {
    const paths = this.disk.paths().filter((path) => path.endsWith(".log"));
    if (paths.length === 0) return;
    const path = this.#random.pick(paths);
    const bits = this.disk.content(path).length * 8;
    if (bits === 0) return;
    this.disk.flipBit(path, this.#random.below(bits));
    this.#flips++;
  }

  /** The disk works again: the log must take everything that is still to come, and hold what it promised. */
  #end(): void {
    if (!this.#mayFlip) this.#die();
    this.disk.heal();
    this.disk.killProcess();
    this.#start();
    const lane = this.#lane;
    if (lane === undefined) this.#fail("the log does not open on a healthy disk");
    for (let turns = 0; !lane.isIdle || this.#isRefused; turns++) {
      if (turns > DRAIN_TURNS_MAX) this.#fail("the lane never becomes idle");
      this.#nowUs += DRAIN_TURN_US;
      this.#turn({ sync: true, countMax: 20 });
    }
    if (lane.trouble !== "") this.#fail(`the log stays failed: ${lane.trouble}`);
    const { firstOffset, nextOffset, answers } = lane;
    lane.close();
    const damagesAtEnd: LogDamage[] = [];
    judge({
      found: this.#readWhole(firstOffset, nextOffset, damagesAtEnd),
      firstOffset,
      nextOffset,
      acknowledged: this.#acknowledged,
      unacknowledged: this.#producers.flatMap((producer) => producer.unacknowledged),
      answers,
      wasSentInOrder: !this.#wasRefused,
      batchOf: this.#batchOf,
      flips: this.#flips,
      damages: this.#damages,
      damagesAtEnd,
    }, (what) => this.#fail(what));
  }

  #readWhole(firstOffset: number, nextOffset: number, damages: LogDamage[]): Map<number, SimEvent> {
    const found = new Map<number, SimEvent>();
    const reader = new LogReader(this.#files, DIRECTORY, (damage) => damages.push(damage));
    reader.seek(firstOffset);
    while (this.#readBatch(reader, nextOffset, (event, offset) => found.set(offset, event)) > 0);
    return found;
  }
}
