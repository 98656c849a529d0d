/** A lane over real files, its queue and its sources played by the test. */
import { cpSync, existsSync } from "node:fs";
import type { EscError } from "../../src/errors.ts";
import { decodeFrame } from "../../src/event/decode.ts";
import { EventCursor } from "../../src/log/batch.ts";
import type { LogDamage } from "../../src/log/damage.ts";
import type { Files } from "../../src/log/files.ts";
import { nodeFiles } from "../../src/log/node-files.ts";
import { LogReader } from "../../src/log/reader.ts";
import { createShardState } from "../../src/log/shard-state.ts";
import { createCounters } from "../../src/metrics/counters.ts";
import { createShardLatencies } from "../../src/metrics/latency.ts";
import { LANE_COUNTERS } from "../../src/metrics/layout.ts";
import { type Completion, CompletionReader, createCompletions } from "../../src/queue/completions.ts";
import { createControl, ThreadControl } from "../../src/queue/control.ts";
import { createDoorbell } from "../../src/queue/doorbell.ts";
import { createRing } from "../../src/queue/ring.ts";
import { VerdictSender } from "../../src/queue/verdicts.ts";
import { createHand, createIntent } from "../../src/process/hand.ts";
import { Lane } from "../../src/process/lane.ts";
import type { LaneShardOptions } from "../../src/process/options.ts";
import type { VerdictPath } from "../../src/queue/verdicts.ts";

export interface LaneMemory {
  readonly shard: LaneShardOptions;
  readonly source: VerdictPath;
}

export interface LaneMemoryOptions extends Partial<Omit<LaneShardOptions, "info">> {
  readonly directory: string;
  readonly handBytes?: number;
  readonly inputCount?: number;
}

export function createLaneMemory(options: LaneMemoryOptions): LaneMemory {
  const { directory, handBytes = 4096, inputCount = 1, ...given } = options;
  return {
    shard: {
      info: { index: 4, lane: "transactional", shard: 0, directory, state: createShardState() },
      inputs: Array.from({ length: inputCount }, () => createRing(1 << 16)),
      hand: createHand(handBytes),
      intent: createIntent(),
      counters: createCounters(LANE_COUNTERS),
      latencies: createShardLatencies(),
      durability: "fsync",
      syncIntervalMs: 100,
      segmentBytes: 1 << 16,
      minFreeBytes: 0,
      retention: {},
      dedup: { windowMs: 60_000, idsMax: 1024 },
      ...given,
    },
    source: { completions: createCompletions(1024), doorbell: createDoorbell(), control: createControl() },
  };
}

/** The memory and the files as they are now, elsewhere: what a successor finds when the thread ends here. */
export function snapshot(memory: LaneMemory, directory: string): LaneMemory {
  if (existsSync(memory.shard.info.directory)) {
    cpSync(memory.shard.info.directory, directory, { recursive: true });
  }
  const copy = (shared: SharedArrayBuffer) => {
    const target = new SharedArrayBuffer(shared.byteLength);
    new Uint8Array(target).set(new Uint8Array(shared));
    return target;
  };
  const { shard, source } = memory;
  return {
    shard: {
      ...shard,
      info: { ...shard.info, directory, state: copy(shard.info.state) },
      inputs: shard.inputs.map(({ control, data }) => ({ control: copy(control), data: copy(data) })),
      hand: copy(shard.hand),
      intent: copy(shard.intent),
      counters: copy(shard.counters),
      latencies: copy(shard.latencies),
    },
    source: {
      completions: { control: copy(source.completions.control), slots: copy(source.completions.slots) },
      doorbell: copy(source.doorbell),
      control: copy(source.control),
    },
  };
}

export interface LaneRig {
  readonly lane: Lane;
  readonly failures: EscError[];
  readonly damage: LogDamage[];
  recoveries: number;
}

export interface LaneRigOptions {
  readonly files?: Files;
  readonly nowUs?: () => number;
  /** Called before each verdict leaves. */
  readonly onAnswer?: () => void;
}

class WatchedSender extends VerdictSender {
  readonly #before: () => void;

  constructor(path: VerdictPath, own: ThreadControl, before: () => void) {
    super(path, own);
    this.#before = before;
  }

  override send(...verdict: Parameters<VerdictSender["send"]>): void {
    this.#before();
    super.send(...verdict);
  }
}

export function openLane(memory: LaneMemory, options: LaneRigOptions = {}): LaneRig {
  const failures: EscError[] = [];
  const damage: LogDamage[] = [];
  const own = new ThreadControl(createControl());
  let recoveries = 0;
  const lane = new Lane(memory.shard, {
    files: options.files ?? nodeFiles,
    nowUs: options.nowUs ?? (() => 1_000_000),
    monotonicNs: () => 0,
    senders: [new WatchedSender(memory.source, own, options.onAnswer ?? (() => {}))],
    onDamage: (found) => damage.push(found),
    onFailure: (error) => failures.push(error),
    onRecovery: () => recoveries++,
  });
  return {
    lane,
    failures,
    damage,
    get recoveries() {
      return recoveries;
    },
  };
}

/** Real files, with something done before and after each call. */
export function hookedFiles(before: (call: string) => void, after: (call: string) => void = () => {}): Files {
  const hook = <Given extends unknown[], Answer>(name: string, call: (...given: Given) => Answer) => {
    return (...given: Given): Answer => {
      before(name);
      const answer = call(...given);
      after(name);
      return answer;
    };
  };
  return {
    openRead: hook("openRead", nodeFiles.openRead),
    openWrite: hook("openWrite", nodeFiles.openWrite),
    create: hook("create", nodeFiles.create),
    close: hook("close", nodeFiles.close),
    read: hook("read", nodeFiles.read),
    write: hook("write", nodeFiles.write),
    sync: hook("sync", nodeFiles.sync),
    truncate: hook("truncate", nodeFiles.truncate),
    preallocate: hook("preallocate", nodeFiles.preallocate),
    size: hook("size", nodeFiles.size),
    list: hook("list", nodeFiles.list),
    makeDirectory: hook("makeDirectory", nodeFiles.makeDirectory),
    syncDirectory: hook("syncDirectory", nodeFiles.syncDirectory),
    rename: hook("rename", nodeFiles.rename),
    unlink: hook("unlink", nodeFiles.unlink),
    freeBytes: hook("freeBytes", nodeFiles.freeBytes),
  };
}

/** Verdicts that have arrived, and are then gone. */
export function takeVerdicts(memory: LaneMemory): Completion[] {
  const reader = new CompletionReader(memory.source.completions);
  const verdicts: Completion[] = [];
  while (reader.next()) verdicts.push({ ...reader.current });
  reader.release();
  return verdicts;
}

export interface StoredEvent {
  readonly offset: number;
  readonly payload: string;
  readonly id: string | undefined;
}

/** Everything in the log below `visibleOffset`. */
export function readLog(directory: string, visibleOffset: number): StoredEvent[] {
  const reader = new LogReader(nodeFiles, directory, (damage) => {
    throw new Error(`Damage: ${JSON.stringify(damage)}`);
  });
  const cursor = new EventCursor();
  const events: StoredEvent[] = [];
  reader.seek(0);
  for (
    let batch = reader.nextBatch(visibleOffset);
    batch !== undefined;
    batch = reader.nextBatch(visibleOffset)
  ) {
    cursor.open(batch);
    while (cursor.next()) {
      const event = decodeFrame(cursor.bytes, cursor.frameAt);
      const { id } = event;
      events.push({ offset: cursor.offset, payload: Buffer.from(event.payload).toString(), id });
    }
  }
  reader.close();
  return events;
}
