/** Events as the store takes them, for tests. */
import { encodeFrame, type OutgoingEvent } from "../../src/event/encode.ts";
import { EventRows } from "../../src/store/event-rows.ts";

/** A moment within one UTC day: 2026-01-02T03:04:05Z. */
export const T0_US = 1_767_323_045_000_000;

export interface PlacedEvent extends OutgoingEvent {
  readonly logId: number;
  readonly offset: number;
  readonly receivedUs?: number;
}

/** A batch of these events. */
export function rowsOf(events: readonly PlacedEvent[]): EventRows {
  const rows = new EventRows(Math.max(1, events.length), 64 * 1024 * 1024);
  for (const { logId, offset, receivedUs = T0_US + offset, ...event } of events) {
    if (!rows.add(logId, offset, receivedUs, encodeFrame(event), 0)) throw new Error("the batch is full");
  }
  return rows;
}
