/**
 * The real lane of `src/process/lane.ts` in the simulated world: real rings, hand, dedup table and verdicts, over
 * the simulated disk. Its thread may end at any call to the disk, and its successor goes on with the same memory.
 */

import { encodeFrame } from "../../src/event/encode.ts";
import {
  ACKS_DURABLE,
  ACKS_NONE,
  packConnection,
  packOrigin,
  RUN_CONNECTION,
  RUN_COUNT,
  RUN_HAS_IDS,
  RUN_HEADER_BYTES,
  RUN_ORIGIN,
  RUN_RECEIVED_LO,
  RUN_SEQ_LO,
} from "../../src/event/run.ts";
import type { LogDamage } from "../../src/log/damage.ts";
import type { Files } from "../../src/log/files.ts";
import { writeU64 } from "../../src/log/format.ts";
import { ShardState } from "../../src/log/shard-state.ts";
import type { Lane } from "../../src/process/lane.ts";
import { STATUS_DUPLICATE, STATUS_FAILED, STATUS_OK } from "../../src/queue/completions.ts";
import { RingWriter } from "../../src/queue/ring.ts";
import { createLaneMemory, type LaneMemory, openLane, takeVerdicts } from "../process/rig.ts";
import {
  idOf,
  type LaneUnderTest,
  payloadOf,
  type SimEvent,
  type SimLaneEvents,
  type SimLaneOptions,
} from "./events.ts";

/** Ids are never forgotten here: producers of the simulation may repeat themselves after any time. */
const DEDUP = { windowMs: 1e12, idsMax: 1 << 16 };
/** Larger than any run of the simulation, smaller than what it queues. */
const HAND_BYTES = 16 * 1024;

/** What a process has beside its threads: shared memory, and the producers' connections. */
interface Process {
  readonly memory: LaneMemory;
  readonly ring: RingWriter;
  /** Does not fit into the ring now. */
  readonly waiting: SimEvent[];
  /** What each connection has sent, in the order of sequence numbers from 1; one connection a producer. */
  readonly sent: SimEvent[][];
  readonly unanswered: Set<SimEvent>;
}

export class RealLane implements LaneUnderTest {
  readonly #files: Files;
  readonly #options: SimLaneOptions;
  readonly #events: SimLaneEvents;
  readonly #process: Process;
  readonly #state: ShardState;
  readonly #lane: Lane;
  readonly #damage: LogDamage[];

  /** Starts a process, or with `process` a successor of the lane's thread. @throws What opening throws. */
  constructor(files: Files, options: SimLaneOptions, events: SimLaneEvents, process?: Process) {
    this.#files = files;
    this.#options = options;
    this.#events = events;
    this.#process = process ?? startProcess(options, this.answers);
    const { memory } = this.#process;
    this.#state = new ShardState(memory.shard.info.state);
    const rig = openLane(memory, { files, nowUs: options.log.nowUs });
    this.#lane = rig.lane;
    this.#damage = rig.damage;
    this.#hearDamage();
  }

  #hearDamage(): void {
    for (const damage of this.#damage.splice(0)) this.#events.onDamage(damage);
  }

  send(events: readonly SimEvent[]): void {
    this.#process.waiting.push(...events);
    for (const event of events) if (this.answers) this.#process.unanswered.add(event);
  }

  /** Lanes that promise nothing at once are also tried without anybody waiting: that is when they are lazy. */
  get answers(): boolean {
    return this.#options.durability === "fsync" || this.#options.batchCountMax > 4;
  }

  turn({ sync, countMax }: { readonly sync: boolean; readonly countMax: number }): void {
    this.#fillRing(countMax);
    // As in the lane worker's thread.
    if (!this.#lane.turn()) this.#lane.mend();
    if (sync && this.#options.durability !== "fsync") this.#lane.sync();
    this.#hearDamage();
    this.#hearVerdicts();
  }

  #fillRing(countMax: number): void {
    const { waiting, ring } = this.#process;
    for (let left = countMax; left > 0 && waiting.length > 0;) {
      const { producer } = waiting[0] as SimEvent;
      const other = waiting.findIndex((event) => event.producer !== producer);
      const events = waiting.slice(0, Math.min(left, other < 0 ? waiting.length : other));
      if (!this.#offerRun(events)) break;
      waiting.splice(0, events.length);
      left -= events.length;
    }
    ring.publish();
  }

  /** Puts one run into the ring. @returns `false` if it has no room. */
  #offerRun(events: readonly SimEvent[]): boolean {
    const { ring, sent } = this.#process;
    const frames = events.map((event) =>
      encodeFrame({ topic: "t", payload: payloadOf(event), id: idOf(event) })
    );
    const at = ring.reserve(RUN_HEADER_BYTES + frames.reduce((sum, frame) => sum + frame.length, 0));
    if (at < 0) return false;
    const { producer } = events[0] as SimEvent;
    const connection = sent[producer] ??= [];
    const word = at >> 2;
    ring.words[word + RUN_COUNT] = events.length;
    writeU64(ring.words, word + RUN_RECEIVED_LO, this.#options.log.nowUs());
    ring.words[word + RUN_CONNECTION] = packConnection(producer, 1);
    ring.words[word + RUN_ORIGIN] = packOrigin(0, 0, this.answers ? ACKS_DURABLE : ACKS_NONE, RUN_HAS_IDS);
    writeU64(ring.words, word + RUN_SEQ_LO, connection.length + 1);
    connection.push(...events);
    let frameAt = at + RUN_HEADER_BYTES;
    for (const frame of frames) {
      ring.bytes.set(frame, frameAt);
      frameAt += frame.length;
    }
    return true;
  }

  #hearVerdicts(): void {
    const { memory, sent, unanswered } = this.#process;
    let wasRefused = false;
    for (const { connection, status, firstSeq, count, offset } of takeVerdicts(memory)) {
      for (let index = 0; index < count; index++) {
        const event = sent[connection & 0xffff]?.[firstSeq - 1 + index];
        if (event === undefined) {
          throw new Error(`Verdict for event ${firstSeq + index}, which was never sent`);
        }
        unanswered.delete(event);
        if (status === STATUS_OK || status === STATUS_DUPLICATE) {
          this.#events.onAcknowledged(event, offset + index);
        } else if (status === STATUS_FAILED) wasRefused = true;
        else throw new Error(`Verdict ${status} in a world without overflow`);
      }
    }
    if (wasRefused) this.#events.onRefused();
  }

  succeed(): LaneUnderTest {
    return new RealLane(this.#files, this.#options, this.#events, this.#process);
  }

  /** Retention is the lane's own affair, by the clock. */
  retain(): void {}

  close(): void {
    this.#lane.close();
  }

  get firstOffset(): number {
    return this.#state.firstOffset;
  }

  get nextOffset(): number {
    return this.#state.nextOffset;
  }

  get visibleOffset(): number {
    return this.#state.visibleOffset;
  }

  get trouble(): string {
    return this.#lane.hasFailed ? "failed" : "";
  }

  get isIdle(): boolean {
    const { waiting, unanswered } = this.#process;
    return waiting.length === 0 && unanswered.size === 0 && this.#lane.isDrained;
  }
}

/** @param retains Without answers producers repeat everything, and what retention removed would come again. */
function startProcess(options: SimLaneOptions, retains: boolean): Process {
  const memory = createLaneMemory({
    directory: options.directory,
    handBytes: HAND_BYTES,
    durability: options.durability,
    syncIntervalMs: 300,
    segmentBytes: options.log.segmentBytes,
    dedup: DEDUP,
    retention: retains && options.retainBytes !== undefined ? { maxBytes: options.retainBytes } : {},
  });
  const [input] = memory.shard.inputs;
  if (input === undefined) throw new Error("A lane without input");
  return { memory, ring: new RingWriter(input), waiting: [], sent: [], unanswered: new Set() };
}
