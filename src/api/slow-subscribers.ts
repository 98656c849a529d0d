/** Subscribers of main's own listeners that take less than comes: named in the log, counted by listener. */
import { LISTENERS } from "../event/frame.ts";
import { Laggards, type Subscriber } from "../ingest/laggards.ts";
import { SOURCE_SLOW } from "../metrics/layout.ts";

export type StreamListener = "http" | "ws" | "grpc";

interface Watched {
  readonly subscribers: Set<Subscriber>;
  readonly laggards: Laggards;
}

export class SlowSubscribers {
  readonly #counters: Float64Array;
  readonly #tell: (message: string) => void;
  readonly #watched = new Map<StreamListener, Watched>();

  /** @param counters Of the main thread. @param tell Writes one line of the log. */
  constructor(counters: Float64Array, tell: (message: string) => void) {
    this.#counters = counters;
    this.#tell = tell;
  }

  /** Looks after a subscriber until the answer is called. */
  watch(listener: StreamListener, subscriber: Subscriber): () => void {
    let watched = this.#watched.get(listener);
    if (watched === undefined) {
      watched = { subscribers: new Set(), laggards: new Laggards() };
      this.#watched.set(listener, watched);
    }
    const { subscribers } = watched;
    subscribers.add(subscriber);
    return () => void subscribers.delete(subscriber);
  }

  /** Call about once a second. */
  look(): void {
    for (const [listener, { subscribers, laggards }] of this.#watched) {
      laggards.look(subscribers, this.#tell);
      this.#counters[SOURCE_SLOW + LISTENERS.indexOf(listener)] = laggards.toldCount;
    }
  }
}

/** How a subscriber is named: its address, and who it is where clients say so. */
export function subscriberName(
  address: { readonly address: string; readonly port: number } | null,
  who: string | undefined,
): string {
  const place = address === null ? "somebody" : `${address.address}:${address.port}`;
  return who === undefined ? place : `${place} (${who})`;
}
