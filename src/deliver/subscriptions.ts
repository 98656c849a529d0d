/**
 * All subscriptions of one connection, whatever its protocol: opening, confirming, and taking turns.
 */
import { type Consumers, openDurable } from "./consumer-link.ts";
import { BadRequest, type ConfirmRequest, type SubscriptionRequest } from "./request.ts";
import type { EventView, NextLimits, Subscription, SubscriptionOptions } from "./subscription.ts";

/** Subscriptions of one connection. */
export const SUBSCRIPTIONS_MAX = 64;

export interface SubscriptionsOptions extends Omit<SubscriptionOptions, "stored"> {
  readonly consumers: Consumers;
  /** Called when there may be events to send although nobody rang: a subscription was opened. */
  readonly onReady: () => void;
  /** Is told of a subscription that could not be opened, after `subscribe()` has returned. */
  readonly onRefused: (id: string, problem: BadRequest) => void;
  /** Is told how many more (or fewer) subscriptions the thread serves. */
  readonly onCountChange: (by: number) => void;
}

/** What a connection's thread does with its subscriptions. One thread. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #open: Subscription[] = [];
  /** Ids that are taken: open, or waiting for their consumer's position. */
  readonly #ids = new Set<string>();
  #turn = 0;
  #isClosed = false;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  /** Subscriptions open or being opened. */
  get count(): number {
    return this.#ids.size;
  }

  /** Whether `fill()` or `next()` can go on at once. */
  get hasMore(): boolean {
    return this.#open.some((subscription) => subscription.hasMore);
  }

  /** The subscription with this id, if it is open. */
  find(id: string): Subscription | undefined {
    return this.#open.find((subscription) => subscription.id === id);
  }

  /**
   * Opens a subscription; what only its consumer's position can tell comes later through `onRefused`.
   *
   * @returns What is wrong, when that is clear at once.
   */
  subscribe(request: SubscriptionRequest): BadRequest | undefined {
    if (this.#ids.has(request.id)) return new BadRequest(`Subscription "${request.id}" exists already`);
    if (this.#ids.size >= SUBSCRIPTIONS_MAX) {
      return new BadRequest(`A connection may have ${SUBSCRIPTIONS_MAX} subscriptions`);
    }
    this.#ids.add(request.id);
    openDurable(request, this.#options, this.#options.consumers).then(
      (result) => this.#opened(request.id, result),
      (error: unknown) => this.#opened(request.id, new BadRequest(`Cannot read the log: ${error}`)),
    );
    return undefined;
  }

  /** Takes a confirmation; a durable consumer's position is handed on to its store. */
  confirm(request: ConfirmRequest): BadRequest | undefined {
    const subscription = this.find(request.id);
    if (!subscription) return new BadRequest(`There is no subscription "${request.id}"`);
    const taken = subscription.confirm(request.offsets);
    if (taken instanceof BadRequest) return taken;
    if (subscription.consumer !== undefined) this.#options.consumers.confirm(subscription.consumer, taken);
    return undefined;
  }

  /** `Subscription.fill()` of each in turns. @returns Bytes written. */
  fill(target: Uint8Array, at: number, bytesMax: number): number {
    let written = 0;
    for (let tried = 0; tried < this.#open.length && written < bytesMax; tried++) {
      written += this.#next().fill(target, at + written, bytesMax - written);
    }
    return written;
  }

  /** `Subscription.next()` of each in turns. @returns Events handed out. */
  next(handle: (event: EventView, id: string) => void, limits: NextLimits): number {
    let count = 0;
    for (let tried = 0; tried < this.#open.length && count < limits.countMax; tried++) {
      const subscription = this.#next();
      const { id } = subscription;
      count += subscription.next((event) => handle(event, id), {
        ...limits,
        countMax: limits.countMax - count,
      });
    }
    return count;
  }

  /** The one that is furthest behind, in events of its shards. */
  furthestBehind(): { readonly id: string; readonly lag: number } | undefined {
    let worst: { readonly id: string; readonly lag: number } | undefined;
    for (const subscription of this.#open) {
      const lag = subscription.lag();
      if (worst === undefined || lag > worst.lag) {
        worst = { id: subscription.consumer ?? subscription.id, lag };
      }
    }
    return worst;
  }

  /** Ends all of them. Positions that were not confirmed are not stored. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#open.length > 0) this.#options.onCountChange(-this.#open.length);
    this.#open.length = 0;
    this.#ids.clear();
  }

  #next(): Subscription {
    const subscription = this.#open[this.#turn % this.#open.length] as Subscription;
    this.#turn = (this.#turn + 1) % this.#open.length;
    return subscription;
  }

  #opened(id: string, result: Subscription | BadRequest): void {
    if (this.#isClosed) return;
    if (result instanceof BadRequest) {
      this.#ids.delete(id);
      this.#options.onRefused(id, result);
      return;
    }
    this.#open.push(result);
    this.#options.onCountChange(1);
    this.#options.onReady();
  }
}
