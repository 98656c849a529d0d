/** How many connections one address may have, and how fast it may open them. One listener, one thread. */

export interface ConnectionLimitOptions {
  /** Connections at a time from one address; `null`: no limit. */
  readonly perAddress: number | null;
  /** New connections a second from one address, after as many at once; `null`: no limit. */
  readonly perSecond: number | null;
}

interface Visitor {
  open: number;
  /** Until when its connects are paid for, microseconds (see auth/rate.ts). */
  paidUs: number;
}

const SECOND_US = 1_000_000;
/** Addresses remembered beyond those that are connected; a flood from more is met by the total limit. */
const VISITORS_MAX = 65_536;

export class ConnectionLimits {
  readonly #options: ConnectionLimitOptions;
  readonly #visitors = new Map<string, Visitor>();
  /** Beyond the table newcomers share one row: they are limited together rather than not at all. */
  readonly #strangers: Visitor = { open: 0, paidUs: 0 };

  constructor(options: ConnectionLimitOptions) {
    this.#options = options;
  }

  /** Lets a connection in, to be given back by `leave()`; or says which limit is against it. */
  enter(address: string, nowUs: number): "connections_per_address" | "connects_per_second" | undefined {
    const { perAddress, perSecond } = this.#options;
    if (perAddress === null && perSecond === null) return undefined;
    const visitor = this.#visitorOf(address);
    if (perSecond !== null) {
      const costUs = SECOND_US / perSecond;
      if (visitor.paidUs + costUs > nowUs + SECOND_US) return "connects_per_second";
      visitor.paidUs = Math.max(visitor.paidUs, nowUs) + costUs;
    }
    if (perAddress !== null && visitor.open >= perAddress) return "connections_per_address";
    visitor.open++;
    return undefined;
  }

  leave(address: string): void {
    const visitor = this.#visitors.get(address) ?? this.#strangers;
    if (visitor.open > 0) visitor.open--;
  }

  /** Forgets addresses that nothing needs to be known of. Call about once a second. */
  sweep(nowUs: number): void {
    for (const [address, visitor] of this.#visitors) {
      if (visitor.open === 0 && visitor.paidUs <= nowUs) this.#visitors.delete(address);
    }
  }

  #visitorOf(address: string): Visitor {
    let visitor = this.#visitors.get(address);
    if (visitor === undefined) {
      if (this.#visitors.size >= VISITORS_MAX) return this.#strangers;
      this.#visitors.set(address, visitor = { open: 0, paidUs: 0 });
    }
    return visitor;
  }
}
