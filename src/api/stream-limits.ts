/** How many streams and WebSockets there may be, in all and of one address: each costs a buffer and a turn. */
import { type ConnectionLimitOptions, ConnectionLimits } from "../ingest/connection-limits.ts";
import { count } from "../metrics/counters.ts";
import { type Limit, LIMITS, SOURCE_LIMITED } from "../metrics/layout.ts";
import { problem } from "./problem.ts";

/** Server-sent events and WebSockets together. */
export const STREAMS_MAX = 8192;
const RETRY_SECONDS = "1";

export interface StreamLimitsParts {
  /** Counter block of the main thread. */
  readonly counters: Float64Array;
  readonly nowUs: () => number;
}

export class StreamLimits {
  readonly #options: ConnectionLimitOptions;
  readonly #parts: StreamLimitsParts;
  readonly #byAddress: ConnectionLimits;
  #open = 0;

  constructor(options: ConnectionLimitOptions, parts: StreamLimitsParts) {
    this.#options = options;
    this.#parts = parts;
    this.#byAddress = new ConnectionLimits(options);
  }

  /** Lets one in. @returns What gives its place back (once), or the refusal. */
  enter(address: string): (() => void) | Response {
    const limit = this.#open >= STREAMS_MAX
      ? "connections"
      : this.#byAddress.enter(address, this.#parts.nowUs());
    if (limit !== undefined) return this.#refuse(limit);
    this.#open++;
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      this.#open--;
      this.#byAddress.leave(address);
    };
  }

  /** Forgets addresses that nothing needs to be known of. Call about once a second. */
  sweep(): void {
    this.#byAddress.sweep(this.#parts.nowUs());
  }

  #refuse(limit: Limit): Response {
    count(this.#parts.counters, SOURCE_LIMITED + LIMITS.indexOf(limit), 1);
    const { perAddress, perSecond } = this.#options;
    const detail = limit === "connections"
      ? `The limit of ${STREAMS_MAX} streams is reached`
      : limit === "connects_per_second"
      ? `More than ${perSecond} new streams a second from one address`
      : `The limit of ${perAddress} streams from one address is reached`;
    return problem(429, detail, { code: "TOO_MANY_CONNECTIONS", headers: { "retry-after": RETRY_SECONDS } });
  }
}
