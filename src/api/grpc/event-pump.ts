/**
 * Events of one subscription on their way to one call. The log is read only while the call takes what is
 * written: a client that does not read costs one chunk, and loses nothing.
 */
import type { ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import { type Caller, EVERYBODY } from "../../auth/caller.ts";
import { BadRequest, type From, type SubscriptionRequest } from "../../deliver/request.ts";
import { type EventView, openSubscription, type Subscription } from "../../deliver/subscription.ts";
import { EscError } from "../../errors.ts";
import { framePriority } from "../../event/ext.ts";
import type { ApiContext } from "../context.ts";
import type { Participant } from "../turns.ts";
import { allowSubscribe } from "./door.ts";
import { deliveredEvent, type EventFields } from "./event-message.ts";
import type { Peers } from "./peers.ts";
import { statusError } from "./status.ts";

const CHUNK = { countMax: 128, bytesMax: 64 * 1024 };

export interface PumpRequest {
  /** Empty: everything. */
  readonly pattern: string;
  /** Events below it are left out. */
  readonly minPriority: number;
  readonly from: From;
}

/** Who gets the events. */
export interface Receiver {
  readonly caller: Caller;
  readonly peers: Peers;
}

type Call =
  | ServerWritableStream<unknown, EventFields>
  | ServerDuplexStream<unknown, EventFields>;

export class EventPump implements Participant {
  readonly isWaiting = false;
  readonly #context: ApiContext;
  readonly #call: Call;
  readonly #subscription: Subscription;
  readonly #minPriority: number;
  readonly #peers: Peers;
  /** The call's buffer is full; a `drain` comes. */
  #isFull = false;
  #isClosed = false;
  readonly #unwatchSlow: () => void;

  /** Begins to deliver. @throws {EscError} `USAGE`, `FORBIDDEN`. */
  static open(context: ApiContext, call: Call, wanted: PumpRequest, { caller, peers }: Receiver): EventPump {
    const pattern = wanted.pattern === "" ? ">" : wanted.pattern;
    allowSubscribe(caller, pattern);
    const request: SubscriptionRequest = { id: "grpc", topics: [pattern], from: wanted.from };
    const subscription = openSubscription(request, { tails: context.tails, meters: context.meters });
    if (subscription instanceof BadRequest) throw new EscError("USAGE", subscription.message);
    const name = caller === EVERYBODY ? call.getPeer() : `${call.getPeer()} (${caller.name})`;
    return new EventPump(context, call, subscription, { minPriority: wanted.minPriority, peers, name });
  }

  private constructor(
    context: ApiContext,
    call: Call,
    subscription: Subscription,
    { minPriority, peers, name }: {
      readonly minPriority: number;
      readonly peers: Peers;
      readonly name: string;
    },
  ) {
    this.#context = context;
    this.#peers = peers;
    this.#call = call;
    this.#subscription = subscription;
    this.#minPriority = minPriority;
    call.on("drain", () => {
      this.#isFull = false;
      context.turns.wake();
    });
    context.turns.countSubscriptions(1);
    this.#unwatchSlow = context.slow.watch("grpc", {
      name,
      subscriptions: { furthestBehind: () => ({ id: subscription.id, lag: subscription.lag() }) },
    });
    context.turns.add(this);
  }

  turn(): boolean {
    if (this.#isFull || this.#isClosed) return false;
    try {
      if (this.#subscription.next((event) => this.#send(event), CHUNK) > 0) this.#peers.push(this.#call);
    } catch (error) {
      this.#context.engine.warn(`Cannot read the log for a subscriber: ${error}`);
      this.close();
      this.#call.emit("error", statusError("LOG_UNAVAILABLE", "The log cannot be read"));
      return false;
    }
    return this.#subscription.hasMore && !this.#isFull;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#context.turns.remove(this);
    this.#context.turns.countSubscriptions(-1);
    this.#unwatchSlow();
  }

  #send(event: EventView): void {
    if (framePriority(event.bytes, event.at) < this.#minPriority) return;
    if (!this.#call.write(deliveredEvent(event))) this.#isFull = true;
  }
}
