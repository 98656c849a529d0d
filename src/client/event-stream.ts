/**
 * Events one by one, for a caller that awaits while it handles them.
 *
 *     handled ≤ taken out ≤ delivered ≤ handled + maxInFlight        for a shard's offsets, and for the count
 *
 * The server sends at most `maxInFlight` events that are not confirmed, so that is all that ever waits here.
 */
import type { DecodedEvent } from "../event/decode.ts";
import type { EscError } from "../errors.ts";
import { type Deferred, deferred } from "./deferred.ts";
import type { EventCursor } from "./events.ts";
import type { StartAt, SubscribeOptions, Subscription } from "./subscription.ts";

/** An event as it was received. The payload is the caller's to keep. */
export interface ReceivedEvent extends DecodedEvent {
  readonly lane: string;
  readonly shard: number;
  readonly offset: number;
  /** When the server received it, microseconds since the Unix epoch. */
  readonly receivedUs: number;
}

export interface StreamOptions {
  /** Topic patterns; one match is enough. */
  readonly topics: readonly string[];
  /** Default: `latest`. */
  readonly from?: StartAt;
  /** Name of a durable consumer: the server stores how far it has come, and that wins over `from`. */
  readonly consumer?: string;
  /** Most events received and not handled. Default 1,000. */
  readonly maxInFlight?: number;
  /** Lanes to read. Absent: all but the dead letters. */
  readonly lanes?: readonly string[];
}

const IN_FLIGHT_DEFAULT = 1_000;
/** What was handled is confirmed so long after the caller began to wait, or at half of `maxInFlight`. */
const CONFIRM_MS = 100;

/** The events of one subscription. It ends with its client; `return()`, as by `break`, ends it before. */
export class EventStream implements AsyncIterableIterator<ReceivedEvent> {
  readonly options: SubscribeOptions;
  readonly #maxInFlight: number;
  /** Received and not taken out yet, the first at `#at`. */
  #waiting: ReceivedEvent[] = [];
  #at = 0;
  readonly #handled = new Map<string, number>();
  #given: ReceivedEvent | undefined;
  #unconfirmedCount = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked: Deferred<IteratorResult<ReceivedEvent>> | undefined;
  #isEnded = false;
  #failure: EscError | undefined;
  #subscription: Subscription | undefined;
  #leave = () => {};
  /** By `lane/shard`: the next offset wanted, and the one behind what was taken out. */
  #next = new Map<string, number>();
  readonly #taken = new Map<string, number>();

  constructor(options: StreamOptions) {
    this.#maxInFlight = options.maxInFlight ?? IN_FLIGHT_DEFAULT;
    this.options = {
      ...options,
      from: options.from ?? "latest",
      maxInFlight: this.#maxInFlight,
      handled: () => Object.fromEntries(this.#handled),
      resumed: () => this.#resume(),
    };
  }

  /** The subscription stands. @param leave Ends it. */
  begin(subscription: Subscription, leave: () => void): void {
    this.#subscription = subscription;
    this.#leave = leave;
  }

  /** Takes the events of one frame. */
  take(events: EventCursor): void {
    if (this.#isEnded) return;
    const { lane, shard } = events;
    const key = `${lane}/${shard}`;
    const from = this.#next.get(key) ?? 0;
    while (events.next()) {
      if (events.offset < from) {
        // A durable consumer that reconnects is sent again what was not confirmed, and what is sent has to be.
        this.#unconfirmedCount++;
        continue;
      }
      const { offset, receivedUs } = events;
      const event = events.decode();
      this.#waiting.push({ ...event, payload: event.payload.slice(), lane, shard, offset, receivedUs });
    }
    this.#next.set(key, Math.max(from, events.nextOffset));
    const first = this.#asked === undefined ? undefined : this.#shift();
    if (first === undefined) return this.#planConfirm();
    this.#asked?.resolve({ value: first, done: false });
    this.#asked = undefined;
  }

  /**
   * Says that the event before is handled, and waits for the next one. Await it before calling it again.
   *
   * @throws {EscError} Why the client has failed, once all that was received before is taken out.
   */
  next(): Promise<IteratorResult<ReceivedEvent>> {
    this.#noteHandled();
    const event = this.#shift();
    if (event !== undefined) return Promise.resolve({ value: event, done: false });
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#isEnded) return Promise.resolve({ value: undefined, done: true });
    this.#planConfirm();
    this.#asked ??= deferred();
    return this.#asked.promise;
  }

  /**
   * Ends the stream. The event given last counts as not handled, as `return()` cannot tell a `break` from an
   * error: call `confirm()` before a `break`, if it is.
   */
  return(): Promise<IteratorResult<ReceivedEvent>> {
    this.#confirmHandled();
    this.#leave();
    this.#waiting = [];
    this.#at = 0;
    this.end(undefined);
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Says that everything given so far is handled, and tells the server now. */
  confirm(): void {
    this.#noteHandled();
    this.#confirmHandled();
  }

  #planConfirm(): void {
    if (this.#unconfirmedCount > 0) this.#timer ??= setTimeout(() => this.#confirmHandled(), CONFIRM_MS);
  }

  /** What waits here unseen comes again: were it kept, it would be more with every broken connection. */
  #resume(): Record<string, number> {
    this.#waiting = [];
    this.#at = 0;
    this.#next = new Map(this.#taken);
    return Object.fromEntries(this.#taken);
  }

  #confirmHandled(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#unconfirmedCount === 0) return;
    this.#unconfirmedCount = 0;
    this.#subscription?.confirm();
  }

  /** Nothing more will come. @param failure Why, unless it was wanted. */
  end(failure: EscError | undefined): void {
    if (this.#isEnded) return;
    clearTimeout(this.#timer);
    this.#isEnded = true;
    this.#failure = failure;
    if (failure === undefined) this.#asked?.resolve({ value: undefined, done: true });
    else this.#asked?.reject(failure);
    this.#asked = undefined;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #noteHandled(): void {
    const given = this.#given;
    if (given === undefined) return;
    this.#given = undefined;
    this.#handled.set(`${given.lane}/${given.shard}`, given.offset + 1);
    if (++this.#unconfirmedCount >= Math.max(1, this.#maxInFlight >> 1)) this.#confirmHandled();
  }

  #shift(): ReceivedEvent | undefined {
    const event = this.#waiting[this.#at];
    if (event === undefined) return undefined;
    this.#given = event;
    this.#taken.set(`${event.lane}/${event.shard}`, event.offset + 1);
    if (++this.#at === this.#waiting.length) {
      this.#waiting = [];
      this.#at = 0;
    }
    return event;
  }
}
