/**
 * The figures of a feed on disk, so that bars, indicators and profiles go on after a restart or a crash.
 *
 *     {"format":1,"crc":…}\n{"feed":…,"savedUs":…,"instruments":[…]}        written beside, synced, renamed
 *
 * What came after the newest checkpoint is taken from the log; books are not kept, they begin with a snapshot of the
 * venue. A file that is damaged or of another format is left aside: the figures begin anew.
 */
import { open, rename } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { parseState, stateText } from "../../market/state.ts";
import type { InstrumentState } from "./instrument-events.ts";

/** Raised whenever the meaning of a state changes: states of other formats are not read. */
const FORMAT = 1;

export interface FeedState {
  readonly feed: string;
  /** Everything received before is in it, microseconds since 1970. */
  readonly savedUs: number;
  readonly instruments: readonly InstrumentState[];
}

/** A state as the bytes of a checkpoint. */
export function checkpointText(state: FeedState): string {
  const body = stateText(state);
  return `${JSON.stringify({ format: FORMAT, crc: Bun.hash.crc32(body) })}\n${body}`;
}

/** The state in the bytes of a checkpoint; `undefined` when they are damaged, or of another format. */
export function parseCheckpoint(text: string): FeedState | undefined {
  const end = text.indexOf("\n");
  const body = text.slice(end + 1);
  const head = JSON.stringify({ format: FORMAT, crc: Bun.hash.crc32(body) });
  return end > 0 && text.slice(0, end) === head ? parseState(body) as FeedState : undefined;
}

/** Reads a checkpoint. @returns `damaged` when there is one that cannot be used. */
export function readCheckpoint(path: string): FeedState | "damaged" | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return parseCheckpoint(text) ?? "damaged";
}

/** Replaces a checkpoint: after a crash the file is the old one or the new one. @throws The file system's error. */
export async function writeCheckpoint(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
