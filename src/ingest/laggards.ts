/**
 * Subscribers that take less than comes: who they are, for the log. They slow nobody down and lose nothing, as long
 * as the log keeps what they have not read; but somebody should know.
 */

/** Events behind from which it is worth a word, and below which it is over. */
const LAG_MIN = 10_000;
const CAUGHT_UP = 1_000;
/** Looks in a row without getting nearer. Whoever reads an old log comes nearer with every one. */
const LOOKS = 3;
/** Subscribers that are spoken of at the same time; beyond them nothing is said. */
const TOLD_MAX = 100;

/** Whoever has subscriptions. */
export interface Subscriber {
  /** For the log: where it is, and who. */
  readonly name: string;
  /** Absent while it has none. */
  readonly subscriptions?: { furthestBehind(): Behind | undefined } | undefined;
}

/** A subscription, and the events that it has not read. */
export interface Behind {
  readonly id: string;
  readonly lag: number;
}

interface Laggard {
  lag: number;
  looks: number;
  isTold: boolean;
}

export class Laggards {
  #seen = new Map<Subscriber, Laggard>();
  #told = 0;

  /** Those that were spoken of and have not caught up, as of the last look. */
  get toldCount(): number {
    return this.#told;
  }

  /** Looks at all subscribers of the thread. Call about once a second. */
  look(subscribers: Iterable<Subscriber>, tell: (message: string) => void): void {
    const seen = new Map<Subscriber, Laggard>();
    this.#told = 0;
    for (const subscriber of subscribers) {
      const worst = subscriber.subscriptions?.furthestBehind();
      const before = this.#seen.get(subscriber);
      if (worst === undefined || worst.lag < (before?.isTold === true ? CAUGHT_UP : LAG_MIN)) {
        if (before?.isTold === true) tell(`Subscriber ${subscriber.name} has caught up`);
        continue;
      }
      const isNearer = before === undefined || worst.lag < before.lag;
      const now = { lag: worst.lag, looks: isNearer ? 0 : before.looks + 1, isTold: before?.isTold ?? false };
      if (now.looks >= LOOKS && !now.isTold && this.#told < TOLD_MAX) {
        now.isTold = true;
        tell(
          `Subscriber ${subscriber.name} falls behind: "${worst.id}" is ${worst.lag} events behind and takes less than comes`,
        );
      }
      if (now.isTold) this.#told++;
      seen.set(subscriber, now);
    }
    this.#seen = seen;
  }
}
