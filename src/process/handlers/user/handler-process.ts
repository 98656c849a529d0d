/** A handler's process as its runner sees it, whatever language it speaks. Processor thread only. */
import { readFileSync } from "node:fs";
import type { Outcome } from "../outcome.ts";
import type { HandlerFile, StateChange } from "./messages.ts";

/** What became of a batch, or of a part of it. */
export interface BatchResult {
  /** Outcomes by index; of an answered event that is not among them: success. */
  readonly outcomes: ReadonlyMap<number, Outcome>;
  /** Whether the event is answered by this result; what was answered before does not matter. */
  readonly isAnswered: (index: number) => boolean;
  /** Whether all of the batch is answered, or the process has ended. */
  readonly isLast: boolean;
  readonly changes: readonly StateChange[];
  /** Why the process has ended before it answered for all; `undefined`: it goes on. */
  readonly ended?: string;
}

export interface ProcessEvents {
  /** It can be given batches. */
  readonly onReady: (file: HandlerFile) => void;
  /** It has answered for the batch or a part of it, or ended over it. */
  readonly onResult: (result: BatchResult) => void;
  /** It has ended without a batch in hand. */
  readonly onEnd: (reason: string) => void;
  /** A line that it has written to stderr. */
  readonly onLine: (line: string) => void;
}

export interface HandlerProcess {
  /** Resident memory, bytes; 0 when it is gone. */
  readonly memoryBytes: number;
  /** Time that may pass until its first answer beyond the budget: what starting up takes and nobody reports. */
  readonly startMs: number;
  /** Gives it what it remembers; before the first batch. */
  restore(entries: readonly (readonly [string, string])[]): void;
  /** Gives it a batch: one at a time. */
  run(parcel: Uint8Array, count: number): void;
  /** Ends it at once; the batch in hand gets its result with this reason. */
  kill(reason: string): void;
  /** Lets it end by itself; nothing is told of it any more. */
  close(): void;
}

export const NOTHING_CHANGED: readonly StateChange[] = [];

const PAGE_BYTES = 4096;
/** Field of /proc/<pid>/statm. */
const RESIDENT = 1;

/** Resident memory of a process; 0 when it is gone, or where there is no /proc. */
export function residentBytes(pid: number): number {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[RESIDENT]);
    return Number.isFinite(pages) ? pages * PAGE_BYTES : 0;
  } catch {
    return 0;
  }
}

/** How a process has ended, for a person. */
export function endingOf(code: number | null, signal: number | string | null): string {
  return signal === null ? `The process ended with status ${code}` : `The process was ended by ${signal}`;
}
