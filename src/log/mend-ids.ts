/** Makes the id file of a finished segment anew when it is missing, of another hash function, or has gaps. */

import { findTag } from "../event/ext.ts";
import { TAG_ID } from "../event/frame.ts";
import { EventCursor } from "./batch.ts";
import type { Files } from "./files.ts";
import { BATCH_HAS_IDS } from "./format.ts";
import { IdFile, type IdFileOwner, IdWriter } from "./id-file.ts";
import { LogReader } from "./reader.ts";
import { segmentPath } from "./segments.ts";
import { SegmentWindow } from "./window.ts";

/** Ids between two pauses. */
const PIECE_IDS = 10_000;

/** Which ids of which segment. */
export interface MendedIds {
  readonly baseOffset: number;
  /** Behind the last event of the segment; all of them are durable. */
  readonly endOffset: number;
  readonly hash: number;
  readonly hashId: (bytes: Uint8Array, start: number, length: number, words: Int32Array) => void;
}

/**
 * Checks the id file of one sealed segment and writes a new one if needed, some thousand ids between two pauses.
 *
 * Lane worker. Only what the file says of itself is checked: entries are when they are read.
 *
 * @returns Whether a new one was written.
 * @throws The error of `files` if the segment cannot be read.
 */
export function* mendIds(files: Files, directory: string, ids: MendedIds): Generator<void, boolean> {
  const { baseOffset, endOffset, hash } = ids;
  const salt = saltOf(files, directory, baseOffset);
  if (salt === undefined) return false;
  const owner: IdFileOwner = { baseOffset, salt, hash };
  const path = segmentPath(directory, baseOffset, "ids");
  if (isCovered(IdFile.open(files, path, owner, endOffset), ids)) return false;
  const writer = new IdWriter(files, path, owner, baseOffset);
  // Damage is told by those who read the log for its events.
  const reader = new LogReader(files, directory, () => {}, BATCH_HAS_IDS);
  const cursor = new EventCursor();
  const words = new Int32Array(2);
  let added = 0;
  let isSealed = false;
  try {
    reader.seek(baseOffset);
    for (let batch = reader.nextBatch(endOffset); batch !== undefined; batch = reader.nextBatch(endOffset)) {
      cursor.open(batch, baseOffset);
      while (cursor.next()) {
        const id = findTag(cursor.bytes, cursor.frameAt, TAG_ID);
        if (id === undefined) continue;
        ids.hashId(cursor.bytes, id.start, id.length, words);
        writer.add(words[0] as number, words[1] as number, cursor.offset, cursor.receivedUs);
        added++;
      }
      writer.flush(reader.nextOffset);
      if (added < PIECE_IDS) continue;
      added = 0;
      yield;
    }
    writer.seal(endOffset);
    isSealed = true;
    return true;
  } finally {
    // Also when it is stopped between two pieces.
    if (!isSealed) writer.abandon();
    reader.close();
  }
}

function saltOf(files: Files, directory: string, baseOffset: number) {
  const window = new SegmentWindow(files);
  try {
    window.open(segmentPath(directory, baseOffset, "log"));
    return window.salt;
  } finally {
    window.close();
  }
}

function isCovered(file: IdFile | undefined, { baseOffset, endOffset }: MendedIds): boolean {
  if (file === undefined) return false;
  file.close();
  let next = baseOffset;
  for (const { fromOffset, toOffset } of file.blocks) {
    if (fromOffset > next) return false;
    next = Math.max(next, toOffset);
  }
  return next >= endOffset;
}
