/**
 * Redis with bounds: nothing is queued while it is away, every command settles soon, and after a few failures
 * in a row nobody even asks for a while (the breaker).
 *
 * Reconnecting goes on by itself, with pauses of 200 ms to 2 s. One thread.
 */
import {
  circuitBreaker,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  handleAll,
} from "cockatiel";
import { Redis } from "ioredis";
import { backoffMs } from "./backoff.ts";

export interface RedisOptions {
  readonly url: string;
  /** Told when the connection is lost, once each time. */
  readonly onLost?: (reason: string) => void;
}

const RECONNECT = { firstMs: 200, maxMs: 2_000, jitter: 0.1 };
const COMMAND_MS_MAX = 250;
const CONNECT_MS_MAX = 2_000;
/** Failures in a row that open the breaker, and how long it stays open. */
const FAILURES_MAX = 5;
const OPEN_MS = 1_000;

export class RedisClient {
  readonly #redis: Redis;
  readonly #url: string;
  readonly #breaker: CircuitBreakerPolicy;
  #subscriber: Redis | undefined;
  errors = 0;

  constructor({ url, onLost }: RedisOptions) {
    this.#url = url;
    this.#redis = connect(url);
    this.#redis.on("error", () => {
      // The commands that fail say so; without a listener ioredis prints every attempt.
    });
    this.#redis.on("end", () => {});
    let wasReady = false;
    this.#redis.on("ready", () => {
      wasReady = true;
    });
    this.#redis.on("close", () => {
      if (wasReady) onLost?.("The connection to Redis is lost");
      wasReady = false;
    });
    this.#breaker = circuitBreaker(handleAll, {
      halfOpenAfter: OPEN_MS,
      breaker: new ConsecutiveBreaker(FAILURES_MAX),
    });
  }

  /** 0 closed (all well), 1 half open, 2 open. */
  get breakerState(): 0 | 1 | 2 {
    const { state } = this.#breaker;
    return state === CircuitState.Closed ? 0 : state === CircuitState.HalfOpen ? 1 : 2;
  }

  /** Runs commands. @throws Whatever went wrong; at once while the breaker is open. */
  async run<T>(work: (redis: Redis) => Promise<T>): Promise<T> {
    try {
      return await this.#breaker.execute(() => work(this.#redis));
    } catch (error) {
      this.errors++;
      throw error;
    }
  }

  /** Hands every message on a channel to `handle`; the subscription outlives lost connections. */
  async subscribe(channel: string, handle: (message: string) => void): Promise<void> {
    const subscriber = this.#subscriber ??= connect(this.#url, { isSubscriber: true });
    subscriber.on("error", () => {});
    subscriber.on("message", (from: string, message: string) => {
      if (from === channel) handle(message);
    });
    await subscriber.subscribe(channel);
  }

  close(): void {
    this.#redis.disconnect();
    this.#subscriber?.disconnect();
  }
}

function connect(url: string, { isSubscriber = false } = {}): Redis {
  return new Redis(url, {
    // A queue of commands for a server that is away would grow, and its answers would come too late.
    enableOfflineQueue: isSubscriber,
    autoResubscribe: true,
    maxRetriesPerRequest: isSubscriber ? null : 0,
    connectTimeout: CONNECT_MS_MAX,
    ...(isSubscriber ? {} : { commandTimeout: COMMAND_MS_MAX }),
    retryStrategy: (attempt: number) => backoffMs(RECONNECT, attempt, Math.random()),
  });
}
