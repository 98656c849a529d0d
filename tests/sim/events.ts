/** What the simulation sends, and what it expects of whoever stores it. */

import type { LogDamage } from "../../src/log/damage.ts";
import type { LogOptions } from "../../src/log/segment.ts";

export type Durability = "fsync" | "interval" | "none";

/** One event of the simulation; its id says everything about it. */
export interface SimEvent {
  readonly producer: number;
  /** Number of the event at its producer, from 1. */
  readonly seq: number;
  readonly payloadBytes: number;
}

export function idOf(event: SimEvent): string {
  return `p${event.producer}-${event.seq}`;
}

/** Payload of an event: its id, again and again. */
export function payloadOf(event: SimEvent): string {
  return `${idOf(event)} `.repeat(1 + Math.floor(event.payloadBytes / 8));
}

export interface SimLaneOptions {
  readonly log: LogOptions;
  readonly durability: Durability;
  readonly directory: string;
  readonly batchCountMax: number;
  /** For lanes that look after retention themselves. */
  readonly retainBytes: number | undefined;
}

/** What the world hears from a lane. */
export interface SimLaneEvents {
  /**
   * The lane is about to append this event at this offset. Lanes that cannot tell do not.
   *
   * @param batch Number of the attempt, the same for all events of a batch.
   */
  onAppending(event: SimEvent, offset: number, batch: number): void;
  /** The lane has said "durable" to the event's producer. */
  onAcknowledged(event: SimEvent, offset: number): void;
  /** The lane has sent events back: their producers send again everything that is not acknowledged. */
  onRefused(): void;
  onDamage(damage: LogDamage): void;
}

/** A lane as the world drives it. */
export interface LaneUnderTest {
  /** Hands over events of one producer, in its order. */
  send(events: readonly SimEvent[]): void;
  /** One turn. @param sync Whether to sync whatever was promised. @param countMax Most events to take. */
  turn(options: { readonly sync: boolean; readonly countMax: number }): void;
  /** Removes old segments. */
  retain(maxBytes: number, nowUs: number): void;
  close(): void;
  /** Its thread ends without a word, its process does not. @returns The successor; `undefined`: it has none. */
  succeed(): LaneUnderTest | undefined;
  readonly firstOffset: number;
  readonly nextOffset: number;
  readonly visibleOffset: number;
  /** Nothing is queued, in hand, or waiting for a sync. */
  readonly isIdle: boolean;
  /** Whether producers hear of what is durable. */
  readonly answers: boolean;
  /** For the trace, and empty while all is well. */
  readonly trouble: string;
}
