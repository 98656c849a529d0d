/** The limits of one client as sessions apply them. */
import { createRateTable, RateLimit, type Rates } from "../auth/rate.ts";
import type { SessionLimits } from "./session-context.ts";

/** Structured-cloneable. */
export interface SessionLimitOptions {
  readonly rates: Rates;
  /** Buckets of all identities, shared by all threads. */
  readonly rateTable: SharedArrayBuffer;
  readonly outboxBytesMax: number;
}

/** Buckets are those of the caller's identity; where nobody says who they are, those of one connection. */
export function sessionLimits({ rates, rateTable, outboxBytesMax }: SessionLimitOptions): SessionLimits {
  const isUnlimited = rates.eventsPerSecond === null && rates.bytesPerSecond === null;
  return {
    outboxBytesMax,
    rateOf: (caller) => {
      if (isUnlimited) return undefined;
      const slot = caller?.identity.rateSlot ?? -1;
      return slot < 0 ? new RateLimit(createRateTable(1), 0, rates) : new RateLimit(rateTable, slot, rates);
    },
  };
}
