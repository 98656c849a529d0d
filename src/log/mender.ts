/**
 * Rebuilds the side files of finished segments in a lane worker's idle moments, a little at a time: somebody may have
 * deleted or damaged them, or a crash may have kept them from being written.
 *
 * After the log is opened every segment is looked at, newest first; later only for files that are not there. What
 * cannot be rebuilt (a segment without a usable header, a full disk) is not tried again until the next start.
 */

import type { Files } from "./files.ts";
import { mendIds } from "./mend-ids.ts";
import { mendIndexByPieces } from "./mend.ts";
import type { LogPlace } from "./segment.ts";
import { type SegmentExtension, segmentPath } from "./segments.ts";

/** How message ids are found and hashed, for segments that are young enough to matter. */
export interface IdMending {
  readonly hash: number;
  readonly hashId: (bytes: Uint8Array, start: number, length: number, words: Int32Array) => void;
  /** Ids older than this are not needed. */
  readonly windowUs: number;
}

/** A log's finished segments, as its writer knows them. */
export interface FinishedSegments {
  /** Base offsets of the finished segments, ascending, and that of the one behind them. */
  bounds(): readonly number[];
  /** When a segment was begun; `undefined` if its header cannot be read. */
  createdUs(baseOffset: number): number | undefined;
}

/** One log's side files. Lane worker only. */
export class Mender {
  readonly #place: LogPlace;
  readonly #segments: FinishedSegments;
  readonly #ids: IdMending | undefined;
  /** Base offsets still to be looked at; the last is next. */
  #queue: number[];
  readonly #hopeless = new Set<number>();
  #work: Generator<void, void> | undefined;

  /** @param ids Absent: nobody reads id files. */
  constructor(place: LogPlace, segments: FinishedSegments, ids?: IdMending) {
    this.#place = place;
    this.#segments = segments;
    this.#ids = ids;
    this.#queue = [...segments.bounds().slice(0, -1)];
  }

  /**
   * Does a piece of what there is to do: some milliseconds.
   *
   * @returns `false` when nothing was left to do.
   */
  step(): boolean {
    if (this.#work === undefined) {
      const baseOffset = this.#queue.pop();
      if (baseOffset === undefined) return false;
      this.#work = this.#mend(baseOffset);
    }
    if (this.#work.next().done === true) this.#work = undefined;
    return true;
  }

  /** Looks by name whether side files are missing, and notes their segments. */
  look(): void {
    if (this.#work !== undefined || this.#queue.length > 0) return;
    const { files, directory } = this.#place;
    const names = new Set(namesIn(files, directory));
    const bounds = this.#segments.bounds();
    this.#queue = bounds.slice(0, -1).filter((baseOffset, index) =>
      !this.#hopeless.has(baseOffset) &&
      this.#wanted(bounds[index + 1] as number).some((extension) =>
        !names.has(nameOf(directory, baseOffset, extension))
      )
    );
  }

  /** Stops what is under way. */
  close(): void {
    this.#work?.return();
    this.#work = undefined;
    this.#queue = [];
  }

  /** Side files that the segment before `follower` needs. */
  #wanted(follower: number): readonly SegmentExtension[] {
    return this.#needsIds(follower) ? ["idx", "ids"] : ["idx"];
  }

  #needsIds(follower: number): boolean {
    if (this.#ids === undefined) return false;
    const endUs = this.#segments.createdUs(follower) ?? Infinity;
    return endUs >= this.#place.options.nowUs() - this.#ids.windowUs;
  }

  *#mend(baseOffset: number): Generator<void, void> {
    const { files, directory, options } = this.#place;
    const bounds = this.#segments.bounds();
    const endOffset = bounds[bounds.indexOf(baseOffset) + 1];
    // Retention was quicker.
    if (endOffset === undefined || !bounds.includes(baseOffset)) return;
    const isThere = () => this.#segments.bounds().includes(baseOffset);
    const wanted = this.#wanted(endOffset);
    try {
      yield* mendIndexByPieces(files, directory, { baseOffset, indexBytes: options.indexBytes, isThere });
      if (this.#ids !== undefined && wanted.includes("ids") && isThere()) {
        yield* mendIds(files, directory, { ...this.#ids, baseOffset, endOffset });
      }
    } catch {
      // Not readable now: whoever reads the segment for its events will say so.
    }
    const names = namesIn(files, directory);
    const isWhole = wanted.every((extension) => names.includes(nameOf(directory, baseOffset, extension)));
    if (!isWhole) this.#hopeless.add(baseOffset);
  }
}

function nameOf(directory: string, baseOffset: number, extension: SegmentExtension): string {
  return segmentPath(directory, baseOffset, extension).slice(directory.length + 1);
}

function namesIn(files: Files, directory: string): readonly string[] {
  try {
    return files.list(directory);
  } catch {
    // Then nothing can be said to be missing, or to be there.
    return [];
  }
}
