/**
 * One client of a stress run over TCP: writes blocks of ready frames as fast as the server takes them, or at a
 * given pace, and measures how long each event waits for its answer.
 *
 *     answered ≤ sent ≤ answered + inFlightMax,   sent ≤ events
 */
import { Connection, type ConnectionEvents, type Refusal } from "../../src/client/connection.ts";
import type { Dial } from "../../src/client/transport.ts";
import { EscError } from "../../src/errors.ts";
import type { AcksName } from "../../src/event/run.ts";
import type { Histogram } from "../../src/metrics/histogram.ts";
import { Pacer, type Ramp } from "../pacer.ts";
import { AckTimes } from "./ack-times.ts";
import type { FrameBlock } from "./plan.ts";

export interface ProducerOptions {
  readonly dial: Dial;
  readonly events: number;
  readonly acks: AcksName;
  readonly token: string | undefined;
  readonly inFlightMax: number;
  /** Events a second of this client; `Infinity` for as fast as it goes. */
  readonly rate: number;
  readonly ramp?: Ramp | undefined;
  /** Ready frames; shared with other producers unless `numbers`. */
  readonly block: FrameBlock;
  /** Whether each event gets its own number. */
  readonly numbers: boolean;
  readonly latencies: Histogram;
  readonly onRefused: (refusal: Refusal) => void;
}

/** Blocks written before the other clients get their turn. */
const TURN_BLOCKS = 4;

export class StressProducer {
  /** Settles when every event is answered for, or with the reason why that will not be. Never rejects. */
  readonly finished: Promise<EscError | undefined>;
  sentCount = 0;
  answeredCount = 0;
  refusedCount = 0;
  readonly #options: ProducerOptions;
  readonly #ackTimes: AckTimes;
  readonly #finish: (error: EscError | undefined) => void;
  #connection: Connection | undefined;
  #pacer = new Pacer(Infinity, 0);
  /** Where the block goes on after a short write. */
  #restAt = 0;
  #restEnd = 0;
  #isPlanned = false;
  #isStopping = false;
  #isEnding = false;
  /** The server has read and answered everything. */
  #isComplete = false;
  readonly #turn = () => {
    this.#isPlanned = false;
    this.#pump();
  };

  constructor(options: ProducerOptions) {
    this.#options = options;
    this.#ackTimes = new AckTimes(options.latencies);
    const { promise, resolve } = Promise.withResolvers<EscError | undefined>();
    this.finished = promise;
    this.#finish = resolve;
  }

  /**
   * Connects; nothing is sent yet.
   *
   * @throws {EscError} As `Connection.open()`; `USAGE` when the events are too large for the server.
   */
  async open(): Promise<void> {
    const { dial, acks, token, block } = this.#options;
    const hello = { acks, producer: "esc stress", ...(token === undefined ? {} : { token }) };
    this.#connection = await Connection.open(dial, hello, this.#connectionEvents());
    const { max_frame_bytes: bodyBytesMax } = this.#connection.welcome;
    if (block.bodyBytesMax > bodyBytesMax) {
      throw new EscError(
        "USAGE",
        `Events of ${block.bodyBytesMax} bytes are too large: the server takes ${bodyBytesMax}`,
      );
    }
  }

  /** Begins to send. */
  start(): void {
    this.#pacer = new Pacer(this.#options.rate, performance.now(), this.#options.ramp);
    this.#pump();
  }

  /** Sends nothing more; what was sent is still answered for. */
  stop(): void {
    this.#isStopping = true;
    this.#endIfDone();
  }

  /** Closes the connection at once. */
  abort(): void {
    this.#connection?.abort();
  }

  #connectionEvents(): ConnectionEvents {
    return {
      acknowledged: (count) => {
        this.answeredCount = count;
        this.#ackTimes.answered(count, performance.now() * 1000);
        this.#pump();
      },
      refused: (refusal) => {
        this.refusedCount += refusal.count;
        this.#options.onRefused(refusal);
      },
      delivered: () => {},
      drained: () => this.#pump(),
      closed: (error) => this.#finish(this.#isComplete ? undefined : error),
    };
  }

  #pump(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#isEnding) return;
    for (let blocks = 0; blocks < TURN_BLOCKS; blocks++) {
      if (!this.#writeRest(connection)) return;
      const count = this.#nextCount();
      if (count <= 0) return this.#endIfDone();
      this.#take(count);
    }
    if (this.#writeRest(connection)) this.#plan(0);
  }

  /** How many events the next write may carry: within the block, the window, the pace and the plan. */
  #nextCount(): number {
    const { events, acks, inFlightMax, rate, block } = this.#options;
    const inBlock = block.count - this.sentCount % block.count;
    const inPlan = this.#isStopping ? 0 : events - this.sentCount;
    const inWindow = acks === "none" ? inBlock : inFlightMax - (this.sentCount - this.answeredCount);
    const wanted = Math.min(inBlock, inPlan, inWindow);
    if (wanted <= 0 || rate === Infinity) return wanted;
    const nowMs = performance.now();
    const due = this.#pacer.due(nowMs);
    if (due <= 0) this.#plan(Math.ceil(this.#pacer.waitMs(nowMs)));
    return Math.min(wanted, due);
  }

  #take(count: number): void {
    const { block, numbers, rate } = this.#options;
    const from = this.sentCount % block.count;
    if (numbers) block.number(from, count, this.sentCount);
    // At a given pace an event counts from when it was due: a server that stalls must not hide its delay.
    const sentMs = rate === Infinity ? performance.now() : this.#pacer.dueMs;
    this.#pacer.take(count);
    this.sentCount += count;
    this.#ackTimes.sent(this.sentCount, sentMs * 1000);
    this.#restAt = block.starts[from] as number;
    this.#restEnd = block.starts[from + count] as number;
  }

  /** @returns `false` when the transport takes no more now. */
  #writeRest(connection: Connection): boolean {
    if (this.#restAt === this.#restEnd) return true;
    this.#restAt += connection.write(this.#options.block.bytes, this.#restAt, this.#restEnd);
    return this.#restAt === this.#restEnd;
  }

  #plan(delayMs: number): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    if (delayMs > 0) setTimeout(this.#turn, delayMs);
    else setImmediate(this.#turn);
  }

  #endIfDone(): void {
    const { events, acks } = this.#options;
    const hasSentAll = (this.#isStopping || this.sentCount === events) && this.#restAt === this.#restEnd;
    const hasAnswers = acks === "none" || this.answeredCount === this.sentCount;
    if (hasSentAll && hasAnswers && !this.#isEnding) this.#end();
  }

  async #end(): Promise<void> {
    this.#isEnding = true;
    // Without acknowledgements the PONG says that everything was read; with them, that every ERROR has come.
    const failure = await this.#connection?.ping(Infinity).catch((error: unknown) => error);
    // Why it failed has been said by closed().
    if (failure !== undefined) return;
    this.#isComplete = true;
    this.#connection?.end();
  }
}
