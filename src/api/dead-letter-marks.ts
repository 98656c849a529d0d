/**
 * Which dead letters are dealt with: requeued or purged. Their log is append-only, so they are marked
 * beside it and not shown any more; retention removes them with their segment.
 *
 *     <log of the dead letters>/handled.json    {"ranges": [[from, to], …]}       from ≤ offset < to
 *
 * Main thread.
 */
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { EscError } from "../errors.ts";
import { replaceFile } from "../deliver/replace-file.ts";
import { syncDirectory } from "../system/directory-sync.ts";

/** Ranges kept: a person picking single letters out of the log makes one each. */
export const RANGES_MAX = 100_000;

export class DeadLetterMarks {
  readonly #path: string;
  /** Pairs [from, to), ascending, never touching. */
  #ranges: [number, number][] = [];

  /** @throws {EscError} `STORE_UNAVAILABLE` If the file is there and cannot be read. */
  constructor(path: string) {
    this.#path = path;
    try {
      this.#ranges = readRanges(JSON.parse(readFileSync(path, "utf8")));
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
      throw new EscError("STORE_UNAVAILABLE", `Cannot read '${path}'`, { cause: error });
    }
  }

  /** Whether the letter at `offset` is dealt with. */
  has(offset: number): boolean {
    const range = this.#ranges[this.#find(offset)];
    return range !== undefined && range[0] <= offset;
  }

  /** The first letter at or behind `offset` that is not dealt with. */
  firstUnhandled(offset: number): number {
    const range = this.#ranges[this.#find(offset)];
    return range !== undefined && range[0] <= offset ? range[1] : offset;
  }

  /** Marks one letter; `save()` makes it last. @returns `false` when there are too many marks. */
  add(offset: number): boolean {
    if (this.has(offset)) return true;
    const index = this.#find(offset);
    const before = this.#ranges[index - 1];
    const after = this.#ranges[index];
    const joinsBefore = before?.[1] === offset;
    const joinsAfter = after?.[0] === offset + 1;
    if (before && joinsBefore) {
      before[1] = after && joinsAfter ? after[1] : offset + 1;
      if (joinsAfter) this.#ranges.splice(index, 1);
      return true;
    }
    if (after && joinsAfter) {
      after[0] = offset;
      return true;
    }
    if (this.#ranges.length >= RANGES_MAX) return false;
    this.#ranges.splice(index, 0, [offset, offset + 1]);
    return true;
  }

  /** Writes the marks. @param firstOffset Oldest letter kept: marks below are dropped. */
  save(firstOffset: number): void {
    this.#ranges = this.#ranges.filter(([, to]) => to > firstOffset);
    try {
      replaceFile(this.#path, JSON.stringify({ ranges: this.#ranges }));
      syncDirectory(dirname(this.#path));
    } catch (error) {
      throw new EscError("STORE_UNAVAILABLE", `Cannot write '${this.#path}'`, { cause: error });
    }
  }

  /** Index of the first range that ends behind `offset`. */
  #find(offset: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.[1] ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** @throws {RangeError} If the file does not hold ranges. */
function readRanges(json: unknown): [number, number][] {
  const ranges = typeof json === "object" && json !== null && "ranges" in json ? json.ranges : undefined;
  if (!Array.isArray(ranges)) throw new RangeError("The file holds no ranges");
  return ranges.map((range: unknown) => {
    const [from, to] = Array.isArray(range) ? range : [];
    if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) throw new RangeError("A range is damaged");
    return [from, to];
  });
}
