/**
 * Server-sent events: subscribers with nothing but HTTP.
 *
 *     id: realtime/0=2s,transactional/0=0        where to resume: offsets in base 36, of all shards
 *     data: {"lane": …, "payload": …}
 *
 * The log is read only when the socket has taken what was written: a stalled client costs one chunk.
 */
import {
  BadRequest,
  type From,
  type Positions,
  shardKey,
  type SubscriptionRequest,
} from "../deliver/request.ts";
import { type EventView, openSubscription, type Subscription } from "../deliver/subscription.ts";
import type { ShardInfo } from "../log/shard-state.ts";
import type { ApiContext } from "./context.ts";
import type { ApiCaller } from "./route.ts";
import { jsonEvent } from "./event-json.ts";
import type { Participant } from "./turns.ts";

/** Silence after which a comment keeps proxies from closing the connection. */
export const HEARTBEAT_MS = 15_000;
const CHUNK_EVENTS = 512;
const CHUNK_BYTES = 128 * 1024;
const limits = { countMax: CHUNK_EVENTS, bytesMax: CHUNK_BYTES };
const encoder = new TextEncoder();

/** Who listens. */
export interface Listener extends Pick<ApiCaller, "watch"> {
  /** For the log. */
  readonly name: string;
}

/** Opens the stream. @returns What is wrong with the request. */
export function serveSse(
  context: ApiContext,
  request: SubscriptionRequest,
  { watch, name }: Listener,
): Response | BadRequest {
  const subscription = openSubscription(request, { tails: context.tails, meters: context.meters });
  if (subscription instanceof BadRequest) return subscription;
  const stream = new SseStream(context, subscription, { watch, name });
  return new Response(stream.readable, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      // For reverse proxies that would gather the stream.
      "x-accel-buffering": "no",
    },
  });
}

/** One client. Takes part in main's turns only while its socket has room and the log has nothing for it. */
class SseStream implements Participant {
  readonly readable: ReadableStream<Uint8Array>;
  readonly isWaiting = false;
  readonly #context: ApiContext;
  readonly #subscription: Subscription;
  /** Offsets of the next events, by shard: the `id` of what was sent last. */
  #positions: Record<string, number>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Settles the pending `pull()`: the stream wants another chunk. */
  #pulled: (() => void) | undefined;
  #heartbeat: ReturnType<typeof setTimeout> | undefined;
  readonly #unwatch: () => void;
  readonly #unwatchSlow: () => void;
  #isClosed = false;

  constructor(context: ApiContext, subscription: Subscription, { watch, name }: Listener) {
    this.#context = context;
    this.#unwatch = watch(() => this.#end());
    this.#subscription = subscription;
    this.#positions = subscription.positions();
    context.turns.countSubscriptions(1);
    const furthestBehind = () => ({ id: subscription.id, lag: subscription.lag() });
    this.#unwatchSlow = context.slow.watch("http", { name, subscriptions: { furthestBehind } });
    this.readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
        controller.enqueue(encoder.encode(`retry: 1000\nid: ${encodeEventId(this.#positions)}\n\n`));
      },
      pull: () => this.#pull(),
      cancel: () => this.#close(),
    }, { highWaterMark: 1 });
  }

  /** More events may be there. */
  turn(): boolean {
    if (this.#send()) this.#settle();
    return this.#subscription.hasMore && this.#pulled !== undefined;
  }

  #pull(): Promise<void> {
    return new Promise((resolve) => {
      this.#pulled = resolve;
      if (this.#send()) {
        this.#settle();
        return;
      }
      this.#heartbeat = setTimeout(() => {
        this.#controller?.enqueue(encoder.encode(":\n\n"));
        this.#settle();
      }, HEARTBEAT_MS);
      this.#context.turns.add(this);
    });
  }

  #settle(): void {
    clearTimeout(this.#heartbeat);
    this.#context.turns.remove(this);
    const pulled = this.#pulled;
    this.#pulled = undefined;
    pulled?.();
  }

  /** Writes the next events. @returns Whether there were any. */
  #send(): boolean {
    if (this.#isClosed) return true;
    let text = "";
    try {
      const count = this.#subscription.next((event) => text += this.#format(event), limits);
      if (count === 0) return false;
    } catch (error) {
      this.#context.engine.warn(`Cannot read the log for a subscriber: ${error}`);
      this.#controller?.error(error);
      this.#close();
      return true;
    }
    // Stretches that did not match need not be read again after a reconnect.
    this.#positions = this.#subscription.positions();
    this.#controller?.enqueue(encoder.encode(text));
    return true;
  }

  #format(event: EventView): string {
    this.#positions[shardKey(event.lane, event.shard)] = event.offset + 1;
    return `id: ${encodeEventId(this.#positions)}\ndata: ${JSON.stringify(jsonEvent(event))}\n\n`;
  }

  /** The client is not welcome any more. */
  #end(): void {
    if (this.#isClosed) return;
    this.#controller?.close();
    this.#close();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#unwatch();
    this.#unwatchSlow();
    this.#settle();
    this.#context.turns.countSubscriptions(-1);
  }
}

/** Positions as an event id: no spaces, no line ends. */
export function encodeEventId(positions: Positions): string {
  return Object.entries(positions).map(([key, offset]) => `${key}=${offset.toString(36)}`).join(",");
}

/** The inverse. Shards that are not in the id (they are new) are read from their beginning. */
export function decodeEventId(id: string, shards: readonly ShardInfo[]): From | BadRequest {
  const offsets: Record<string, number> = Object.create(null);
  for (const info of shards) offsets[shardKey(info.lane, info.shard)] = 0;
  for (const part of id.split(",")) {
    const [, key, digits] = /^([^=]+)=([0-9a-z]{1,11})$/.exec(part) ?? [];
    const offset = parseInt(digits ?? "", 36);
    const isGood = key !== undefined && key in offsets && Number.isSafeInteger(offset);
    if (!isGood) return new BadRequest("Last-Event-ID does not come from this server");
    offsets[key] = offset;
  }
  return { offsets };
}
