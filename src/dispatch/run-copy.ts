/** Copies a part of a run from one ring into another. */
import { RUN_COUNT, RUN_HEADER_BYTES, RUN_SEQ_HI, RUN_SEQ_LO } from "../event/run.ts";
import { copyShort, SHORT_COPY_BYTES } from "../queue/copy.ts";
import type { RingWriter } from "../queue/ring.ts";

const HEADER_WORDS = RUN_HEADER_BYTES / 4;

/** Part of a run: frames `bytes[from..to)`, the first of them being event number `skipped` (from 0). */
export interface RunPart {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  /** The memory of `bytes`, index for index: words at any index. */
  readonly view: DataView;
  /** Index of the run's header. */
  runAt: number;
  from: number;
  to: number;
  count: number;
  skipped: number;
}

/**
 * Writes the part as a run of its own; visible after the writer's `publish()`.
 *
 * @returns `false` when there is no room: nothing is written.
 */
export function copyRun(writer: RingWriter, part: RunPart): boolean {
  const { bytes, words, from, to } = part;
  const length = to - from;
  const at = writer.reserve(RUN_HEADER_BYTES + length);
  if (at < 0) return false;
  const target = writer.words;
  const word = at >> 2;
  const run = part.runAt >> 2;
  // The length word is there already.
  for (let field = 1; field < HEADER_WORDS; field++) target[word + field] = words[run + field] as number;
  if (part.skipped > 0) addToSeq(target, word, part.skipped);
  target[word + RUN_COUNT] = part.count;
  const start = at + RUN_HEADER_BYTES;
  if (length <= SHORT_COPY_BYTES) copyShort(part.view, from, writer, start, length);
  else writer.bytes.set(bytes.subarray(from, to), start);
  return true;
}

function addToSeq(words: Int32Array, word: number, by: number): void {
  const low = ((words[word + RUN_SEQ_LO] as number) >>> 0) + by;
  words[word + RUN_SEQ_LO] = low;
  if (low >= 4294967296) words[word + RUN_SEQ_HI] = (words[word + RUN_SEQ_HI] as number) + 1;
}

/** Number of the part's first event on its connection. */
export function firstSeqOf(part: RunPart): number {
  const word = part.runAt >> 2;
  const high = (part.words[word + RUN_SEQ_HI] as number) >>> 0;
  return high * 4294967296 + ((part.words[word + RUN_SEQ_LO] as number) >>> 0) + part.skipped;
}
