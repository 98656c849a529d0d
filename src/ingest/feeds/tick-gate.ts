/** One instrument's trades or quotes on their way out, at most so many a second. */
import type { OutgoingEvent } from "../../event/encode.ts";
import { MergedTick } from "../../market/merged-tick.ts";
import type { MarketMessage } from "../../market/message.ts";
import { Throttle, type ThrottleStrategy } from "../../market/throttle.ts";

export interface TickGateOptions {
  readonly perSecond: number;
  readonly strategy: ThrottleStrategy;
  readonly burst: number;
  /** Makes the event of a tick that was not merged. */
  readonly eventOf: (message: MarketMessage) => OutgoingEvent;
  /** Makes the event of merged ticks. */
  readonly mergedEventOf: (tick: MergedTick) => OutgoingEvent;
  readonly sink: (event: OutgoingEvent) => void;
}

export class TickGate {
  readonly #options: TickGateOptions;
  readonly #plain: Throttle<OutgoingEvent>;
  readonly #merging: Throttle<MergedTick> | undefined;

  constructor(options: TickGateOptions) {
    const { perSecond: updatesPerWindow, strategy, burst, sink } = options;
    this.#options = options;
    const isMerging = strategy === "merge";
    this.#plain = new Throttle(sink, {
      strategy: isMerging ? "sample" : strategy,
      updatesPerWindow,
      burst,
    });
    this.#merging = isMerging
      ? new Throttle((tick) => sink(options.mergedEventOf(tick)), {
        strategy,
        updatesPerWindow,
        merge: (waiting, newer) => waiting.fold(newer),
      })
      : undefined;
  }

  /** Ticks dropped because a full queue had no room. */
  get overflowCount(): number {
    return this.#plain.overflowCount;
  }

  offer(message: MarketMessage): void {
    if (this.#merging === undefined) this.#plain.offer(this.#options.eventOf(message), message.receivedUs);
    else this.#merging.offer(new MergedTick(message), message.receivedUs);
  }

  /** Lets go what may go at this time. */
  release(nowUs: number): void {
    this.#plain.release(nowUs);
    this.#merging?.release(nowUs);
  }
}
