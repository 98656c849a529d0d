/** What both proxies have: faults that can be changed while they run, chance, and what they have done. */
import { Random } from "../generate/random.ts";
import { changed, type Faults } from "./faults.ts";

export interface ProxyCounts {
  connections: number;
  passedBytes: number;
  lost: number;
  corrupted: number;
  resets: number;
  /** Bytes on their way now, and the most there were. */
  waitingBytes: number;
  waitingBytesMax: number;
}

export interface ChaosTarget {
  readonly host: string;
  readonly port: number;
}

/** A running proxy of either kind. */
export interface ChaosProxy {
  readonly port: number;
  /** Looks at the faults again: they have changed. */
  poke(): void;
  /** Ends all connections as if the link had been cut. */
  reset(): void;
  stop(): void;
}

/** Faults, chance and counts of one proxy. */
export class Weather {
  readonly random: Random;
  readonly counts: ProxyCounts = {
    connections: 0,
    passedBytes: 0,
    lost: 0,
    corrupted: 0,
    resets: 0,
    waitingBytes: 0,
    waitingBytesMax: 0,
  };
  #faults: Faults;

  constructor(seed: number, faults: Faults) {
    this.random = new Random(seed);
    this.#faults = faults;
  }

  get faults(): Faults {
    return this.#faults;
  }

  /** @throws {EscError} `USAGE`: nothing was changed. */
  change(changes: readonly (readonly [name: string, text: string])[]): void {
    this.#faults = changes.reduce((faults, [name, text]) => changed(faults, name, text), this.#faults);
  }

  /** Notes that so many bytes more, or fewer, are on their way. */
  waiting(bytes: number): void {
    const { counts } = this;
    counts.waitingBytes += bytes;
    counts.waitingBytesMax = Math.max(counts.waitingBytesMax, counts.waitingBytes);
  }
}
