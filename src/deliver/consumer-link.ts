/**
 * How threads other than main read and confirm the positions of durable consumers.
 *
 * Messages, not shared memory: opening is rare, and confirmations are gathered for CONFIRM_DELAY_MS, so
 * their rate does not depend on that of the events.
 */
import type { ConsumerStore } from "./consumer.ts";
import { BadRequest, type Positions, type SubscriptionRequest } from "./request.ts";
import { openSubscription, type Subscription, type SubscriptionOptions } from "./subscription.ts";

/** Worker → main. */
export type ConsumerMessage =
  | { readonly kind: "consumer_open"; readonly ticket: number; readonly name: string }
  | { readonly kind: "consumer_confirm"; readonly offsets: ReadonlyMap<string, Positions> };

/** Main → worker: the answer to `consumer_open`. */
export interface ConsumerReply {
  readonly kind: "consumer_position";
  readonly ticket: number;
  /** `null`: this consumer is new. */
  readonly offsets: Positions | null;
}

/** What a thread that serves subscribers needs of durable consumers. */
export interface Consumers {
  /** Stored position, `null` for a new consumer. */
  position(name: string): Promise<Positions | null>;
  /** Moves a consumer on; told, not awaited. */
  confirm(name: string, offsets: Positions): void;
}

/** How long a worker gathers confirmations before it tells main. */
export const CONFIRM_DELAY_MS = 20;

/**
 * Opens a subscription that may belong to a durable consumer.
 *
 * A new consumer's starting point is stored at once: what comes in before its first confirmation is not
 * lost with the connection.
 */
export async function openDurable(
  request: SubscriptionRequest,
  options: SubscriptionOptions,
  consumers: Consumers,
): Promise<Subscription | BadRequest> {
  if (request.consumer === undefined) return openSubscription(request, options);
  const stored = await consumers.position(request.consumer);
  const subscription = openSubscription(request, stored ? { ...options, stored } : options);
  if (!stored && !(subscription instanceof BadRequest)) {
    consumers.confirm(request.consumer, subscription.positions());
  }
  return subscription;
}

/** Main's own way to the store. */
export function localConsumers(store: ConsumerStore): Consumers {
  return {
    position: (name) => Promise.resolve(store.get(name)?.offsets ?? null),
    confirm: (name, offsets) => void store.confirm(name, offsets),
  };
}

/** Main's answer to a worker's message. @param reply Posts to the worker that asked. */
export function answerConsumerMessage(
  store: ConsumerStore,
  message: ConsumerMessage,
  reply: (reply: ConsumerReply) => void,
): void {
  if (message.kind === "consumer_open") {
    const offsets = store.get(message.name)?.offsets ?? null;
    reply({ kind: "consumer_position", ticket: message.ticket, offsets });
    return;
  }
  for (const [name, offsets] of message.offsets) store.confirm(name, offsets);
}

/** A worker's way to the store. */
export class ConsumerLink implements Consumers {
  readonly #post: (message: ConsumerMessage) => void;
  readonly #waiting = new Map<number, (offsets: Positions | null) => void>();
  #gathered = new Map<string, Record<string, number>>();
  #ticket = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param post Posts to main. */
  constructor(post: (message: ConsumerMessage) => void) {
    this.#post = post;
  }

  position(name: string): Promise<Positions | null> {
    // What this thread has gathered belongs before the question.
    this.flush();
    const ticket = ++this.#ticket;
    return new Promise((resolve) => {
      this.#waiting.set(ticket, resolve);
      this.#post({ kind: "consumer_open", ticket, name });
    });
  }

  confirm(name: string, offsets: Positions): void {
    let gathered = this.#gathered.get(name);
    if (!gathered) this.#gathered.set(name, gathered = {});
    for (const key of Object.keys(offsets)) {
      gathered[key] = Math.max(gathered[key] ?? 0, offsets[key] as number);
    }
    this.#timer ??= setTimeout(() => this.flush(), CONFIRM_DELAY_MS);
  }

  /** Takes main's answer. */
  receive(reply: ConsumerReply): void {
    this.#waiting.get(reply.ticket)?.(reply.offsets);
    this.#waiting.delete(reply.ticket);
  }

  /** Tells main everything gathered; call before the thread ends. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#gathered.size === 0) return;
    this.#post({ kind: "consumer_confirm", offsets: this.#gathered });
    this.#gathered = new Map();
  }
}
