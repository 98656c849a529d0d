/**
 * Moves runs from the sources' rings to the shards' queues: decides for each event, copies for each run.
 *
 * A run goes over in one piece as long as consecutive events go to the same shard. The priority of an
 * event is changed in place, in the source ring, before the copy: the dispatcher is that ring's only
 * reader, and the change says the same when it is made twice.
 *
 * One thread. In a turn every source gets at most `TURN_BYTES`; then the queues are shown to their lanes,
 * the verdicts to the sources, and only then are the source rings freed: a thread that is killed in
 * between repeats events, it does not lose them. A turn that throws does neither.
 */
import { RUN_HEADER_BYTES, RUN_LENGTH, RUN_RECEIVED_LO } from "../event/run.ts";
import { ThreadControl } from "../queue/control.ts";
import { Doorbell } from "../queue/doorbell.ts";
import { RingReader } from "../queue/ring.ts";
import { VerdictSender } from "../queue/verdicts.ts";
import { BlockedConnections } from "./blocked.ts";
import { DeadLetterBox } from "./dead-letters.ts";
import type { DispatchSource, DispatchWorkerOptions } from "./options.ts";
import { Outlet } from "./outlet.ts";
import { type RouteOptions, RouteTable } from "./route.ts";
import type { RunPart } from "./run-copy.ts";
import { Sorter } from "./sorter.ts";
import { TopicRegistry } from "./topic-registry.ts";

/** Most bytes of one source before the next has its turn. */
const TURN_BYTES = 256 * 1024;
/** Above this share of its ring a source may be waiting for room. */
const CROWDED = 1 / 4;

/** What the dispatcher needs from outside its options. */
export interface DispatcherHost {
  /** Microseconds since the Unix epoch. */
  readonly nowUs: () => number;
  /** Is told of a run whose frames do not fit its header: a bug upstream. Its rest is skipped. */
  readonly report: (problem: string) => void;
}

/** One source, as the dispatcher sees it. */
class Inlet {
  readonly reader: RingReader;
  readonly doorbell: Doorbell;
  readonly view: DataView;
  readonly part: RunPart;
  /** The source may wait for room and has not been told of any. */
  isCrowded = false;
  /** Its next run waits for room in a parking ring. */
  isStalled = false;
  // How much of the next run has been placed, in frame bytes and in events.
  placedBytes: number;
  placedCount: number;

  constructor(source: DispatchSource) {
    this.reader = new RingReader(source.ring);
    this.doorbell = new Doorbell(source.doorbell);
    this.view = new DataView(source.ring.data);
    const { bytes, words } = this.reader;
    this.part = { bytes, words, view: this.view, runAt: 0, from: 0, to: 0, count: 0, skipped: 0 };
    this.placedBytes = this.reader.progressBytes;
    this.placedCount = this.reader.progressCount;
  }
}

export class Dispatcher {
  readonly #inlets: readonly Inlet[];
  readonly #outlets: readonly Outlet[];
  readonly #verdicts: readonly VerdictSender[];
  readonly #deadLetters: DeadLetterBox;
  readonly #sorter: Sorter;
  readonly #host: DispatcherHost;
  readonly #control: ThreadControl;
  #firstInlet = 0;

  constructor(options: DispatchWorkerOptions, host: DispatcherHost) {
    this.#host = host;
    const own = new ThreadControl(options.control);
    this.#control = own;
    this.#verdicts = options.sources.map((source) => new VerdictSender(source, own));
    this.#deadLetters = new DeadLetterBox(options.deadLetters, host.nowUs);
    const context = {
      verdicts: this.#verdicts,
      blocked: new BlockedConnections(options.sources),
      deadLetters: this.#deadLetters,
      pressure: options.pressure,
    };
    const routes = new RouteTable(options.routes);
    this.#outlets = options.shards.map((shard, index) => {
      const lane = routes.lanes.find(({ firstShard, shardCount }) =>
        index >= firstShard && index < firstShard + shardCount
      );
      if (lane === undefined) throw new RangeError(`Shard ${index} belongs to no lane of the routes`);
      return new Outlet(shard, lane, context);
    });
    this.#sorter = new Sorter(new TopicRegistry(options.topics), routes, this.#outlets);
    this.#inlets = options.sources.map((source) => new Inlet(source));
  }

  /** Routes events by a new table from the next turn on. @throws {EscError} As `RouteTable`; the old one stays. */
  setRoutes(routes: RouteOptions): void {
    this.#sorter.setRoutes(new RouteTable(routes));
  }

  /** Whether a source has something that can be dispatched now. What waits for a lane does not count. */
  hasWork(): boolean {
    for (const inlet of this.#inlets) if (!inlet.isStalled && !inlet.reader.isEmpty()) return true;
    return false;
  }

  /** Whether runs wait behind a full queue: the dispatcher must look again soon by itself. */
  get isParking(): boolean {
    for (const outlet of this.#outlets) if (outlet.isParking) return true;
    return false;
  }

  /** Moves what there is, once around all sources. @returns Whether anything moved. */
  turn(): boolean {
    const inlets = this.#inlets;
    let moved = false;
    try {
      const { shedBelow } = this.#control;
      for (const outlet of this.#outlets) outlet.refresh(shedBelow);
      for (let index = 0; index < inlets.length; index++) {
        const inlet = inlets[(this.#firstInlet + index) % inlets.length] as Inlet;
        if (this.#drain(inlet)) moved = true;
      }
      // Whoever was first is last: a ring that fills a queue does not always win.
      if (inlets.length > 0) this.#firstInlet = (this.#firstInlet + 1) % inlets.length;
    } finally {
      this.#flush();
    }
    return moved;
  }

  /** Dispatches at most `TURN_BYTES` of one source. @returns Whether anything moved. */
  #drain(inlet: Inlet): boolean {
    const { reader } = inlet;
    inlet.isStalled = false;
    if (reader.depthBytes() > reader.capacityBytes * CROWDED) inlet.isCrowded = true;
    let moved = false;
    for (let left = TURN_BYTES; left > 0;) {
      const at = reader.next();
      if (at < 0) break;
      left -= reader.words[at >> 2] as number;
      const placedBefore = inlet.placedCount;
      let isPlaced = false;
      try {
        isPlaced = this.#dispatch(inlet, at);
      } finally {
        // Also when it throws: what was placed is not placed again, the rest is not lost.
        if (!isPlaced) reader.stepBack();
      }
      if (isPlaced || inlet.placedCount > placedBefore) moved = true;
      if (!isPlaced) {
        inlet.isStalled = true;
        break;
      }
    }
    return moved;
  }

  /** Splits one run by shards. @returns `false` when its rest must wait in the source ring. */
  #dispatch(inlet: Inlet, runAt: number): boolean {
    const { reader, part, view } = inlet;
    const { words } = reader;
    const word = runAt >> 2;
    const end = runAt + (words[word + RUN_LENGTH] as number);
    const sorter = this.#sorter;
    // A run of which a part could not be placed before goes on where it stopped.
    part.runAt = runAt;
    part.from = runAt + RUN_HEADER_BYTES + inlet.placedBytes;
    part.skipped = inlet.placedCount;
    sorter.openRun(part.bytes, view, part.from, end, receivedUsOf(words, word));
    while (sorter.next()) {
      part.to = sorter.at;
      part.count = sorter.count;
      if (!(this.#outlets[sorter.shard] as Outlet).offer(part)) {
        sorter.undo();
        return false;
      }
      part.from = part.to;
      part.skipped += part.count;
      inlet.placedBytes = part.from - runAt - RUN_HEADER_BYTES;
      inlet.placedCount = part.skipped;
    }
    inlet.placedBytes = 0;
    inlet.placedCount = 0;
    if (sorter.at !== end) {
      this.#host.report(`Run at ${runAt} ends inside a frame: ${end - sorter.at} bytes skipped`);
    }
    return true;
  }

  #flush(): void {
    for (const outlet of this.#outlets) outlet.flush();
    this.#deadLetters.flush();
    for (const sender of this.#verdicts) sender.flush();
    for (const inlet of this.#inlets) {
      inlet.reader.releaseWithin(inlet.placedBytes, inlet.placedCount);
      if (!inlet.isCrowded) continue;
      // Sources go on at half empty; the second call is for a frame that needs nearly the whole ring.
      const depth = inlet.reader.depthBytes();
      if (depth * 2 <= inlet.reader.capacityBytes) inlet.doorbell.ring();
      if (depth === 0) inlet.isCrowded = false;
    }
  }
}

function receivedUsOf(words: Int32Array, word: number): number {
  const high = (words[word + RUN_RECEIVED_LO + 1] as number) >>> 0;
  return high * 4294967296 + ((words[word + RUN_RECEIVED_LO] as number) >>> 0);
}
