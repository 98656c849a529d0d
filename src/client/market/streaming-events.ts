/** Events of the streaming client by name, and which of them an event of the market is. */
import type { PayloadData } from "../../market/decode-payload.ts";

export const STREAMING_EVENTS = [
  "connection_failed",
  "connection_restored",
  "reconnect_attempt_started",
  "reconnect_success",
  "reconnect_failed",
  "max_attempts_exceeded",
  "data_quality_alert",
  "quality_degraded",
  "validation_error",
  "integrity_violation",
  "gap_detected",
  "trades_missing",
  "reconstruction_requested",
  "order_book_created",
  "order_book_snapshot",
  "order_book_updated",
  "pattern_detected",
  "throttled_message",
  "health_updated",
  "metrics_collected",
  "cache_error",
  "error",
] as const;
export type StreamingEventName = (typeof STREAMING_EVENTS)[number];

export interface StreamingEvent {
  readonly source: string;
  readonly message: string;
  readonly data?: PayloadData;
}

/** What an `integrity` event is called here. */
const OF_INTEGRITY: Readonly<Record<string, readonly StreamingEventName[]>> = {
  gap_detected: ["gap_detected", "integrity_violation"],
  validation_error: ["validation_error", "integrity_violation"],
  trades_missing: ["trades_missing"],
  reconstruction_requested: ["reconstruction_requested"],
  burst_overflow: ["throttled_message"],
  quality_alert_raised: ["data_quality_alert", "quality_degraded"],
  quality_alert_withdrawn: ["data_quality_alert"],
};

/** The names under which an event of the market is told; books are told apart by whether one was seen before. */
export function namesOf(data: PayloadData, isFirstOfBook: boolean): readonly StreamingEventName[] {
  switch (data["kind"]) {
    case "integrity":
      return OF_INTEGRITY[String(data["event"])] ?? [];
    case "book_snapshot":
      return isFirstOfBook ? ["order_book_created", "order_book_snapshot"] : ["order_book_snapshot"];
    case "book_delta":
      return ["order_book_updated"];
    case "pattern":
      return ["pattern_detected"];
    default:
      return [];
  }
}

/** Handlers by name. One that throws keeps no other from being called. */
export class EventHandlers {
  readonly #handlers = new Map<StreamingEventName, Set<(event: StreamingEvent) => void>>();

  /** Whether anybody listens. */
  has(name: StreamingEventName): boolean {
    return (this.#handlers.get(name)?.size ?? 0) > 0;
  }

  /** @returns Takes the handler away again. */
  on(name: StreamingEventName, handler: (event: StreamingEvent) => void): () => void {
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers);
    handlers.add(handler);
    return () => void handlers.delete(handler);
  }

  tell(name: StreamingEventName, event: StreamingEvent): void {
    for (const handler of this.#handlers.get(name) ?? []) {
      try {
        handler(event);
      } catch (error) {
        // Its own fault must not stop the stream; the platform shows it like any uncaught error.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
