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

import { describeDamage, type LogDamage } from "../../src/log/damage.ts";
import { EventCursor } from "../../src/log/batch.ts";
import { payloadEnd, payloadStart } from "../../src/event/ext.ts";
import type { Files } from "../../src/log/files.ts";
import { LogReader } from "../../src/log/reader.ts";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { SimDisk } from "./disk.ts";
import {
  type Durability,
  idOf,
  payloadOf,
  type SimEvent,
  SimLane,
  type SimLaneEvents,
  type SimLaneOptions,
} from "./lane.ts";
import { SimRandom } from "./random.ts";

const DIRECTORY = "log";
const PRODUCERS = 3;
const STEPS_MAX = 120;
/** More turns than any healthy lane needs to become idle. */
const DRAIN_TURNS_MAX = 1000;

/** Parts of the simulation that a test may replace, to plant a bug. */
export interface SimParts {
  readonly files: (disk: SimDisk) => Files;
  readonly lane: (files: Files, options: SimLaneOptions, events: SimLaneEvents) => SimLane;
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
  readonly #producers: Producer[];
  /** Offset each acknowledged id was acknowledged for. */
  readonly #acknowledged = new Map<string, number>();
  /** What was last appended at each offset. */
  readonly #appended = new Map<number, SimEvent>();
  /** The batch of each offset, to know how much one flipped bit may cost. */
  readonly #batchOf = new Map<number, string>();
  #damages: LogDamage[] = [];
  #nowUs = 1_700_000_000_000_000;
  #lane: SimLane | undefined;
  #reader: LogReader;
  /** Bits flipped so far; a world that flips never loses power (docs/log-format.md says why). */
  #flips = 0;
  readonly #mayFlip: boolean;
  readonly #mayRetain: boolean;
  #steps = 0;
  #lives = 0;

  constructor(seed: number, parts: SimParts = SIM_PARTS) {
    this.#seed = seed;
    this.#random = new SimRandom(seed);
    this.#parts = parts;
    this.disk = new SimDisk(this.#random);
    this.disk.canPreallocate = this.#random.chance(0.8);
    this.#files = parts.files(this.disk);
    this.#mayFlip = this.#random.chance(0.2);
    // With a flipped bit, only the index can tell the last durable batches from a torn tail.
    if (this.#mayFlip) this.disk.reliablePaths = /\.idx$/;
    this.#mayRetain = this.#random.chance(0.3);
    this.#options = {
      directory: DIRECTORY,
      durability: this.#random.pick<Durability>(["fsync", "fsync", "interval", "none"]),
      batchCountMax: this.#random.pick([1, 4, 20]),
      log: {
        ...LOG_OPTIONS_DEFAULT,
        segmentBytes: this.#random.pick([1024, 4096, 16384]),
        indexBytes: this.#random.pick([128, 1024]),
        minFreeBytes: 0,
        nowUs: () => this.#nowUs,
        random: (words) => {
          for (let index = 0; index < words.length; index++) words[index] = this.#random.bits();
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
      this.#nowUs += this.#random.below(100_000);
      this.#parts.trace(`step ${this.#steps} ${this.#describe()}`);
      this.#step();
      if (this.disk.isStopped) this.#die();
    }
    this.#end();
  }

  #describe(): string {
    const writer = this.#lane?.writer;
    const { durability } = this.#options;
    return writer === undefined
      ? "no lane"
      : `${durability} durable ${writer.durableOffset} visible ${this.#lane?.visibleOffset} next ${writer.nextOffset} ` +
        (writer.failure?.message ?? "");
  }

  #fail(what: string): never {
    throw new SimViolation(`seed ${this.#seed}, step ${this.#steps}: ${what}`);
  }

  #step(): void {
    const random = this.#random;
    const lane = this.#lane;
    const choice = random.below(100);
    if (choice < 35) this.#produce();
    else if (choice < 70) lane?.turn({ sync: random.chance(0.4), countMax: random.between(1, 20) });
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
    for (let count = random.between(1, 8); count > 0; count--) {
      const event = { producer: index, seq: producer.nextSeq++, payloadBytes: random.below(200) };
      producer.unacknowledged.push(event);
      this.#lane?.queue.push(event);
    }
  }

  /** The machine stops or the process is killed; then a new process starts. */
  #die(): void {
    if (this.#mayFlip || this.#random.chance(0.5)) this.disk.killProcess();
    else {
      this.disk.losePower();
      this.#parts.trace("power lost");
    }
    this.#start();
  }

  #closeAndStart(): void {
    try {
      this.#lane?.writer.close();
    } catch {
      // A failed sync while closing: whatever was acknowledged before must be there all the same.
    }
    this.disk.killProcess();
    this.#start();
  }

  #start(): void {
    this.#lives++;
    this.#reader = this.#newReader();
    this.#lane = undefined;
    try {
      this.#lane = this.#parts.lane(this.#files, this.#options, {
        onAppending: (event, offset, batch) => this.#onAppending(event, offset, `${this.#lives}/${batch}`),
        onAcknowledged: (event, offset) => this.#onAcknowledged(event, offset),
        onDamage: (damage) => {
          this.#parts.trace(describeDamage(damage));
          this.#damages.push(damage);
        },
      });
    } catch (error) {
      // Only a disk that stops in the middle may keep the log from opening.
      if (!this.disk.isStopped) this.#fail(`the log does not open: ${String(error)}`);
      return;
    }
    this.#parts.trace(`started: ${this.#describe()}`);
    // Every producer connects again and sends what nobody acknowledged, in order.
    for (const producer of this.#producers) this.#lane.queue.push(...producer.unacknowledged);
  }

  #onAppending(event: SimEvent, offset: number, batch: string): void {
    this.#parts.trace(`appending ${idOf(event)} at ${offset}`);
    this.#appended.set(offset, event);
    this.#batchOf.set(offset, batch);
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
      const payload = new TextDecoder().decode(
        bytes.slice(payloadStart(bytes, frameAt), payloadEnd(bytes, frameAt)),
      );
      const event = this.#appended.get(offset);
      if (event === undefined || payload !== payloadOf(event)) {
        this.#fail(`offset ${offset} reads '${payload}', appended was '${event && payloadOf(event)}'`);
      }
      use(event, offset);
    }
    return batch.count;
  }

  #retain(): void {
    try {
      this.#lane?.writer.retain({ maxBytes: this.#random.between(2000, 40_000), nowUs: this.#nowUs });
    } catch {
      // The disk refused a removal: nothing else may have changed.
    }
  }

  /** Side files are hints: they may vanish or hold anything. */
  #spoilSideFile(): void {
    if (this.#mayFlip) return;
    const paths = this.disk.paths().filter((path) => path.endsWith(".idx") || path.endsWith(".ids"));
    if (paths.length === 0) return;
    const path = this.#random.pick(paths);
    const content = this.disk.content(path);
    const choice = this.#random.below(3);
    if (choice === 0) this.disk.erase(path);
    else if (choice === 1) {
      this.disk.overwrite(path, content.slice(0, this.#random.below(content.length + 1)));
    } else {this.disk.overwrite(
        path,
        content.map((byte) => this.#random.chance(0.1) ? this.#random.below(256) : byte),
      );}
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
    for (let turns = 0; !lane.isIdle; turns++) {
      if (turns > DRAIN_TURNS_MAX) this.#fail("the lane never becomes idle");
      this.#nowUs += 1000;
      lane.turn({ sync: true, countMax: 20 });
    }
    if (lane.writer.failure !== undefined) this.#fail(`the log stays failed: ${lane.writer.failure.message}`);
    const { firstOffset, nextOffset } = lane.writer;
    lane.writer.close();
    this.#judge(firstOffset, nextOffset);
  }

  #judge(firstOffset: number, nextOffset: number): void {
    const offsets = new Map<string, number>();
    const lastSeq = this.#producers.map(() => 0);
    const isOrdered = this.#flips === 0 && !this.#damages.some((damage) => damage.kind === "lost");
    const lostBefore = this.#damages.filter((damage) => damage.kind === "lost");
    this.#damages = [];
    const reader = this.#newReader();
    reader.seek(firstOffset);
    let next = firstOffset;
    const missing: number[] = [];
    while (
      this.#readBatch(reader, nextOffset, (event, offset) => {
        for (; next < offset; next++) missing.push(next);
        next = offset + 1;
        const id = idOf(event);
        if (offsets.has(id)) this.#fail(`'${id}' is in the log twice, at ${offsets.get(id)} and ${offset}`);
        offsets.set(id, offset);
        if (isOrdered && event.seq <= (lastSeq[event.producer] ?? 0)) {
          this.#fail(`'${id}' at ${offset} comes after event ${lastSeq[event.producer]} of its producer`);
        }
        lastSeq[event.producer] = event.seq;
      }) > 0
    );
    for (; next < nextOffset; next++) missing.push(next);
    this.#judgeMissing(missing, lostBefore);
    this.#judgeAcknowledged(offsets, firstOffset);
  }

  #judgeMissing(missing: readonly number[], lostBefore: readonly LogDamage[]): void {
    const isIn = (damages: readonly LogDamage[], offset: number) =>
      damages.some(({ fromOffset, toOffset }) => offset >= fromOffset && offset < toOffset);
    for (const offset of missing) {
      if (!isIn(this.#damages, offset)) this.#fail(`offset ${offset} is missing and nobody says so`);
      if (this.#flips === 0 && !isIn(lostBefore, offset)) {
        this.#fail(`offset ${offset} is missing without a cause`);
      }
    }
    for (const damage of this.#damages) {
      if (this.#flips === 0 && damage.kind !== "missing") {
        this.#fail(`damage without a cause: ${JSON.stringify(damage)}`);
      }
    }
  }

  #judgeAcknowledged(offsets: ReadonlyMap<string, number>, firstOffset: number): void {
    const lostBatches = new Set<string | undefined>();
    for (const [id, offset] of this.#acknowledged) {
      // Retention took it, and its producer was told long ago that it was safe.
      if (offset < firstOffset) continue;
      const found = offsets.get(id);
      if (found === offset) continue;
      if (this.#flips === 0 || found !== undefined) {
        this.#fail(
          `'${id}' was acknowledged at ${offset} and is ${found === undefined ? "gone" : `at ${found}`}`,
        );
      }
      this.#parts.trace(`'${id}' of batch ${this.#batchOf.get(offset)} at ${offset} is gone`);
      lostBatches.add(this.#batchOf.get(offset));
    }
    if (lostBatches.size > this.#flips) {
      this.#fail(`${this.#flips} flipped bits destroyed acknowledged events of ${lostBatches.size} batches`);
    }
    for (const producer of this.#producers) {
      if (producer.unacknowledged.length > 0) {
        this.#fail(`${producer.unacknowledged.length} events were never acknowledged`);
      }
    }
  }
}
