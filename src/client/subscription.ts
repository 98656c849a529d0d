/**
 * The receiving half of a client: one subscription, the position it has reached in every shard, and its
 * confirmations.
 *
 *     confirmed ≤ handled ≤ delivered          for every shard
 */
import { OP_CONFIRM, OP_SUBSCRIBE } from "../event/frame.ts";
import type { Connection } from "./connection.ts";
import type { EventCursor } from "./events.ts";

/** The same place in every shard. */
type StartPlace = "latest" | "earliest" | { readonly timeUs: number };
/** Where to start: shards not named in `offsets` start where `others` says, by default at the end. */
export type StartAt =
  | StartPlace
  | { readonly offsets: Readonly<Record<string, number>>; readonly others?: StartPlace };

export interface SubscribeOptions {
  /** Topic patterns; one match is enough. */
  readonly topics: readonly string[];
  readonly from: StartAt;
  /** Name of a durable consumer: the server stores its position, and that wins over `from`. */
  readonly consumer?: string | undefined;
  /** Most events the server may send ahead of our confirmations. */
  readonly maxInFlight?: number | undefined;
  /** Lanes to read. Absent: all but the dead letters. */
  readonly lanes?: readonly string[] | undefined;
  /**
   * How far the caller has come, `lane/shard` → next offset, for one that handles events after the handler has
   * returned: then nothing is confirmed but this, and only by `confirm()`.
   */
  readonly handled?: (() => Readonly<Record<string, number>>) | undefined;
  /** Where to go on over a new connection, `lane/shard` → next offset. Absent: behind what the handler was given. */
  readonly resumed?: (() => Readonly<Record<string, number>>) | undefined;
}

/**
 * Handles the events of one EVENTS frame: call `events.next()` until it says `false`, or stop before that.
 *
 * Everything stepped to counts as handled when the handler returns, and is confirmed to the server.
 */
export type EventsHandler = (events: EventCursor) => void;

/** A quiet subscription confirms this long after its last event. */
const CONFIRM_MS = 500;
/** A busy one confirms after so many events, or half of `maxInFlight` if that is less. */
const CONFIRM_COUNT = 8_192;

/** One subscription of a client, over whichever connection it is attached to. */
export class Subscription {
  readonly id: string;
  readonly #options: SubscribeOptions;
  readonly #handler: EventsHandler;
  readonly #positions = new Map<string, number>();
  readonly #confirmCount: number;
  readonly #confirms: boolean;
  #connection: Connection | undefined;
  #hasAsked = false;
  /** When we first asked, microseconds since the Unix epoch by our clock. */
  #askedUs = 0;
  #unconfirmedCount = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Lane and shard of the frame before, and their key: consecutive frames often agree. */
  #lane = "";
  #shard = -1;
  #key = "";

  constructor(id: string, options: SubscribeOptions, handler: EventsHandler) {
    this.id = id;
    this.#options = options;
    this.#handler = handler;
    this.#confirms = options.consumer !== undefined || options.maxInFlight !== undefined;
    this.#confirmCount = Math.max(
      1,
      Math.min(CONFIRM_COUNT, Math.floor((options.maxInFlight ?? Infinity) / 2)),
    );
  }

  /** Offset after the last event handled, by `lane/shard`, for every shard that has sent something. */
  positions(): Record<string, number> {
    return Object.fromEntries(this.#positions);
  }

  /** Asks for events over this connection from now on, from where the last one left off. */
  attach(connection: Connection): void {
    this.#connection = connection;
    const { topics, from, consumer, maxInFlight, lanes } = this.#options;
    connection.sendJson(OP_SUBSCRIBE, {
      id: this.id,
      topics,
      from: this.#hasAsked ? this.#goOn(from) : wireForm(from),
      consumer,
      max_in_flight: maxInFlight,
      lanes,
    });
    if (!this.#hasAsked) this.#askedUs = Date.now() * 1000;
    this.#hasAsked = true;
  }

  /** Shards that have sent nothing yet go on as they began; at the end, as it was when we first asked. */
  #goOn(from: StartAt): object {
    const first = typeof from === "object" && "offsets" in from ? from.others ?? "latest" : from;
    const others = wireForm(first === "latest" ? { timeUs: this.#askedUs } : first);
    const asked = typeof from === "object" && "offsets" in from ? from.offsets : {};
    return { offsets: { ...asked, ...(this.#options.resumed?.() ?? this.positions()) }, others };
  }

  /** The connection is gone; another may follow. */
  detach(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#connection = undefined;
  }

  /** Hands one EVENTS frame to the handler and notes how far it came. */
  deliver(events: EventCursor): void {
    if (events.lane !== this.#lane || events.shard !== this.#shard) {
      this.#lane = events.lane;
      this.#shard = events.shard;
      this.#key = `${events.lane}/${events.shard}`;
    }
    this.#handler(events);
    if (events.steppedCount === 0) return;
    this.#positions.set(this.#key, events.nextOffset);
    if (this.#options.handled !== undefined) return;
    this.#unconfirmedCount += events.steppedCount;
    if (!this.#confirms) return;
    if (this.#unconfirmedCount >= this.#confirmCount) this.confirm();
    else this.#timer ??= setTimeout(() => this.confirm(), CONFIRM_MS);
  }

  /** Tells the server now how far the events have been handled. */
  confirm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { handled } = this.#options;
    if (this.#connection === undefined || (handled === undefined && this.#unconfirmedCount === 0)) return;
    this.#connection.sendJson(OP_CONFIRM, { id: this.id, offsets: handled?.() ?? this.positions() });
    this.#unconfirmedCount = 0;
  }
}

function wireForm(start: StartAt): object | string {
  if (typeof start === "string") return start;
  if ("timeUs" in start) return { time_us: start.timeUs };
  return start.others === undefined ? start : { offsets: start.offsets, others: wireForm(start.others) };
}
