/**
 * Keeps all logs together below a size (`log.max_total_bytes`): finds the oldest segments of all shards, and tells
 * their lane workers through the shards' states that nobody needs them. Main thread; the workers remove the files.
 */
import type { Files } from "./files.ts";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from "./format.ts";
import { listSegments, segmentPath } from "./segments.ts";
import { type ShardInfo, ShardState } from "./shard-state.ts";

interface Candidate {
  readonly state: ShardState;
  readonly bytes: number;
  /** When the segment was begun. */
  readonly createdUs: number;
  /** Where the segment behind it begins. */
  readonly endOffset: number;
}

export class TotalLimit {
  readonly #files: Files;
  readonly #shards: readonly ShardInfo[];
  readonly #bytesMax: number;

  /** @param shards All, the dead-letter one included. Segments being written stay, however large they are. */
  constructor(files: Files, shards: readonly ShardInfo[], bytesMax: number) {
    this.#files = files;
    this.#shards = shards;
    this.#bytesMax = bytesMax;
  }

  /**
   * Gives up as many of the oldest segments as it takes. Costs a few loads while the limit is kept.
   *
   * @returns Bytes given up by this call.
   * @throws The error of `files` when the folders cannot be read: nothing was given up then.
   */
  look(): number {
    const states = this.#shards.map((info) => new ShardState(info.state));
    let excess = states.reduce((sum, state) => sum + state.logBytes, 0) - this.#bytesMax;
    if (excess <= 0) return 0;
    const candidates = this.#shards.flatMap((info, index) =>
      this.#candidatesOf(info, states[index] as ShardState)
    );
    candidates.sort((a, b) => a.createdUs - b.createdUs);
    let given = 0;
    for (const { state, bytes, endOffset } of candidates) {
      if (excess <= 0) break;
      // Given up before and not removed yet: it counts, and is not given up again.
      const isNew = endOffset > state.dispensableOffset;
      if (isNew) {
        state.dispensableOffset = endOffset;
        given += bytes;
      }
      excess -= bytes;
    }
    return given;
  }

  #candidatesOf(info: ShardInfo, state: ShardState): Candidate[] {
    const bases = listSegments(this.#files, info.directory);
    let createdUs = 0;
    return bases.slice(0, -1).map((base, index) => {
      const { bytes, created } = this.#read(segmentPath(info.directory, base, "log"));
      // Within a shard the order of the offsets is the order of removal, whatever the clock said.
      createdUs = Math.max(createdUs, created);
      return { state, bytes, createdUs, endOffset: bases[index + 1] as number };
    });
  }

  #read(path: string): { bytes: number; created: number } {
    const { openRead, read, size, close } = this.#files;
    const handle = openRead(path);
    try {
      const header = new Uint8Array(SEGMENT_HEADER_BYTES);
      read(handle, header, 0, header.length, 0);
      return { bytes: size(handle), created: decodeSegmentHeader(header, path)?.createdUs ?? 0 };
    } finally {
      close(handle);
    }
  }
}
