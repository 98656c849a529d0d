/**
 * The sending half of a client: events in, frames out, and the account of what the server has answered.
 *
 *     answered ≤ written ≤ published ≤ answered + inFlightMax
 *
 * Frames stay in the window until they are answered, so a new connection can be given all of them again.
 * Sequence numbers here count over the publisher's life; a connection counts from 1, `#base` lies between.
 */
import { EscError } from "../errors.ts";
import { encodeEvent, eventProblem, frameBytesOf, type OutgoingEvent } from "../event/encode.ts";
import { FRAME_PREFIX_BYTES, MAX_FRAME_BYTES_DEFAULT } from "../event/frame.ts";
import { ACKS_NAMES, ACKS_NONE, type AcksName } from "../event/run.ts";
import { type Deferred, deferred } from "./deferred.ts";
import type { Connection, Refusal } from "./connection.ts";
import { SendWindow } from "./window.ts";

export interface PublisherOptions {
  readonly acks: AcksName;
  /** Ask the server how many events are duplicates; with `acks: "durable"` only. */
  readonly countDuplicates?: boolean;
  /**
   * Memory for unanswered frames; a larger window hides a longer round trip. Default 4 MiB. Raised to four of the
   * server's largest frames, as far as `WINDOW_RAISED_MAX` goes.
   */
  readonly windowBytes?: number;
  /** Most events published and not answered. Default 65,536. */
  readonly inFlightMax?: number;
  /** The first `answered` events of this publisher are accepted, durable or refused. */
  readonly onAnswered?: (answered: number) => void;
  /** The server did not take an event; its `seq` counts from the publisher's first. */
  readonly onRefused?: (refusal: Refusal) => void;
}

const WINDOW_BYTES_DEFAULT = 4 << 20;
const WINDOW_RAISED_MAX = 64 << 20;
const IN_FLIGHT_DEFAULT = 65_536;
/** Enough for one system call to be worth its price; more would only delay the first event in it. */
const FLUSH_BYTES = 64 * 1024;

/** After what the caller does in this turn. A browser has timers only. */
const soon: (run: () => void) => unknown = typeof setImmediate === "function"
  ? setImmediate
  : (run) => setTimeout(run, 0);

/** Publishes events over whichever connection it is attached to. */
export class Publisher {
  readonly #options: PublisherOptions;
  #window = new SendWindow(0);
  readonly #inFlightMax: number;
  readonly #wantsAnswers: boolean;
  #bodyBytesMax = MAX_FRAME_BYTES_DEFAULT;
  #connection: Connection | undefined;
  #failure: EscError | undefined;
  /** Events answered before this connection's first. */
  #base = 0;
  #publishedCount = 0;
  #answeredCount = 0;
  #refusedCount = 0;
  /** Duplicates that earlier connections, and this one, have told of. */
  #duplicatesBefore = 0;
  #duplicatesNow = 0;
  #flushPlanned = false;
  /** The transport has taken less than it was offered. */
  #blocked = false;
  #roomWaiter: Deferred<void> | undefined;
  #settleWaiter: Deferred<void> | undefined;
  readonly #flushNow = () => {
    this.#flushPlanned = false;
    this.flush();
  };

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#inFlightMax = options.inFlightMax ?? IN_FLIGHT_DEFAULT;
    this.#wantsAnswers = options.acks !== ACKS_NAMES[ACKS_NONE];
  }

  /** Events taken by `publish()` since the start. */
  get publishedCount(): number {
    return this.#publishedCount;
  }

  /** Events answered, refused ones included; without acknowledgements: handed to the operating system. */
  get answeredCount(): number {
    return this.#answeredCount;
  }

  /** Events the server reported as refused or failed. */
  get refusedCount(): number {
    return this.#refusedCount;
  }

  /** Events the server had stored before under their message id, if `countDuplicates` asked for it. */
  get duplicateCount(): number {
    return this.#duplicatesBefore + this.#duplicatesNow;
  }

  /**
   * Takes one event for sending. It goes out with others at the end of this turn, or at 64 KiB.
   *
   * @param event Copied: the caller may reuse its payload.
   * @returns `false` when there is no room now and nothing was taken: await `room()` and try again.
   * @throws {EscError} `USAGE` when no server would accept the event; or why the client has failed.
   */
  publish(event: OutgoingEvent): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#window.frameCount >= this.#inFlightMax) return false;
    const at = this.#window.reserve(frameBytesOf(event));
    if (at < 0) return this.#refuseUnlessItCanFit(event);
    const problem = eventProblem(event, this.#bodyBytesMax);
    if (problem !== undefined) throw new EscError("USAGE", `Cannot publish: ${problem}`);
    this.#window.commit(at, encodeEvent(this.#window.bytes, at, event) - at);
    this.#publishedCount++;
    if (this.#window.unwrittenBytes >= FLUSH_BYTES) this.flush();
    else if (!this.#flushPlanned) {
      this.#flushPlanned = true;
      soon(this.#flushNow);
    }
    return true;
  }

  /** Resolves when `publish()` has a good deal of room again. @throws {EscError} If the client fails meanwhile. */
  room(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.flush();
    if (this.#hasRoom()) return Promise.resolve();
    this.#roomWaiter ??= deferred();
    return this.#roomWaiter.promise;
  }

  /**
   * Resolves when the server has answered for everything published so far. Without acknowledgements: when it
   * has read everything, so that every refusal has been reported.
   */
  async settled(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.flush();
    if (this.#window.frameCount > 0) {
      this.#settleWaiter ??= deferred();
      await this.#settleWaiter.promise;
    }
    if (!this.#wantsAnswers) await this.#connection?.ping(Infinity);
  }

  /** Offers everything encoded to the transport now. */
  flush(): void {
    const connection = this.#connection;
    const window = this.#window;
    if (connection === undefined || this.#blocked) return;
    while (window.unwrittenBytes > 0) {
      const at = window.pendingAt;
      const end = window.pendingEnd;
      const taken = connection.write(window.bytes, at, end);
      window.wrote(taken);
      if (taken < end - at) {
        this.#blocked = true;
        break;
      }
    }
    // Written is all that a producer without acknowledgements will ever know.
    if (!this.#wantsAnswers) this.#answer(this.#answeredCount + window.writtenFrames());
  }

  /** Sends over this connection from now on, beginning with what the last one did not get answered. */
  attach(connection: Connection): void {
    this.#connection = connection;
    this.#duplicatesBefore += this.#duplicatesNow;
    this.#duplicatesNow = 0;
    const bodyBytesMax = connection.welcome.max_frame_bytes;
    if (this.#publishedCount === 0) this.#window = new SendWindow(this.#windowBytes(bodyBytesMax));
    this.#bodyBytesMax = Math.min(bodyBytesMax, this.#window.frameBytesMax - FRAME_PREFIX_BYTES);
    this.#base = this.#answeredCount;
    this.#blocked = false;
    this.#window.rewind();
    this.flush();
  }

  /** The connection is gone; another may follow. */
  detach(): void {
    this.#connection = undefined;
  }

  /** No connection will follow: everybody who waits learns why. */
  fail(error: EscError): void {
    this.#connection = undefined;
    this.#failure = error;
    this.#roomWaiter?.reject(error);
    this.#settleWaiter?.reject(error);
    this.#roomWaiter = undefined;
    this.#settleWaiter = undefined;
  }

  /** The transport takes bytes again. */
  drained(): void {
    this.#blocked = false;
    this.flush();
  }

  /** The connection's first `count` events are answered for. */
  acknowledged(count: number, duplicates: number | undefined): void {
    if (duplicates !== undefined) this.#duplicatesNow = duplicates;
    this.#answer(this.#base + count);
  }

  /** The server did not take some events. */
  refused(refusal: Refusal): void {
    this.#refusedCount += refusal.count;
    this.#options.onRefused?.(refusal.seq === 0 ? refusal : { ...refusal, seq: this.#base + refusal.seq });
  }

  #answer(answered: number): void {
    const count = answered - this.#answeredCount;
    if (count <= 0) return;
    if (answered > this.#publishedCount) {
      throw new EscError(
        "BAD_CONTROL",
        `Server acknowledged ${answered} events, but ${this.#publishedCount} were sent`,
      );
    }
    this.#window.release(count);
    this.#answeredCount = answered;
    this.#options.onAnswered?.(answered);
    if (this.#roomWaiter !== undefined && this.#hasRoom()) {
      this.#roomWaiter.resolve();
      this.#roomWaiter = undefined;
    }
    if (this.#window.frameCount === 0) {
      this.#settleWaiter?.resolve();
      this.#settleWaiter = undefined;
    }
  }

  /** Well below full: so that a waiting producer is woken for many events, not for each. */
  #hasRoom(): boolean {
    return this.#window.isRoomy && this.#window.frameCount <= this.#inFlightMax / 2;
  }

  #windowBytes(bodyBytesMax: number): number {
    const raised = Math.min(4 * (FRAME_PREFIX_BYTES + bodyBytesMax), WINDOW_RAISED_MAX);
    return Math.max(this.#options.windowBytes ?? WINDOW_BYTES_DEFAULT, raised);
  }

  /** There is no room; if there never will be, waiting for it would be forever. */
  #refuseUnlessItCanFit(event: OutgoingEvent): false {
    const problem = eventProblem(event, this.#bodyBytesMax);
    if (problem !== undefined) throw new EscError("USAGE", `Cannot publish: ${problem}`);
    return false;
  }
}
