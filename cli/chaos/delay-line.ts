/**
 * Pieces on their way through a slow link: each leaves when its delay is over and the link has carried those before.
 * Pure: time comes in as an argument.
 *
 *     bytes waiting ≤ limit + one piece        (whoever fills it stops when `isFull`)
 */
import type { Random } from "../generate/random.ts";
import type { Faults } from "./faults.ts";

interface Piece {
  readonly bytes: Uint8Array;
  readonly dueMs: number;
}

export class DelayLine {
  readonly #bytesMax: number;
  readonly #random: Random;
  readonly #isOrdered: boolean;
  /** By the time they are due. */
  readonly #pieces: Piece[] = [];
  #bytes = 0;
  /** Until when the link is busy with what was taken in. */
  #busyMs = 0;

  /** @param isOrdered Pieces keep their order, as in a stream; otherwise jitter may change it. */
  constructor(bytesMax: number, random: Random, isOrdered: boolean) {
    this.#bytesMax = bytesMax;
    this.#random = random;
    this.#isOrdered = isOrdered;
  }

  get isFull(): boolean {
    return this.#bytes >= this.#bytesMax;
  }

  get isEmpty(): boolean {
    return this.#pieces.length === 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** When the next piece may leave; Infinity when there is none. */
  get dueMs(): number {
    return this.#pieces[0]?.dueMs ?? Infinity;
  }

  /** Takes a piece in. @param bytes Kept: the caller must not use it again. */
  push(bytes: Uint8Array, faults: Faults, nowMs: number): void {
    const { latencyMs, jitterMs, bandwidth } = faults;
    const carryMs = bandwidth === 0 ? 0 : (bytes.length * 1000) / bandwidth;
    this.#busyMs = Math.max(this.#busyMs, nowMs) + carryMs;
    const jitter = jitterMs === 0 ? 0 : (2 * this.#random.next() - 1) * jitterMs;
    const ownMs = this.#busyMs + Math.max(0, latencyMs + jitter);
    const dueMs = this.#isOrdered ? Math.max(ownMs, this.#pieces.at(-1)?.dueMs ?? 0) : ownMs;
    let at = this.#pieces.length;
    while (at > 0 && (this.#pieces[at - 1] as Piece).dueMs > dueMs) at--;
    this.#pieces.splice(at, 0, { bytes, dueMs });
    this.#bytes += bytes.length;
  }

  /** Gives the next piece whose time has come, and lets it go. */
  take(nowMs: number): Uint8Array | undefined {
    const [first] = this.#pieces;
    if (first === undefined || first.dueMs > nowMs) return undefined;
    this.#pieces.shift();
    this.#bytes -= first.bytes.length;
    return first.bytes;
  }

  /** Puts the rest of a piece back that the other side did not take whole. */
  putBack(bytes: Uint8Array): void {
    this.#pieces.unshift({ bytes, dueMs: 0 });
    this.#bytes += bytes.length;
  }
}

/** Flips one bit of the piece, in place, with the probability given. @returns Whether it did. */
export function corrupt(bytes: Uint8Array, share: number, random: Random): boolean {
  if (share === 0 || bytes.length === 0 || !random.chance(share)) return false;
  const at = random.between(0, bytes.length - 1);
  bytes[at] = (bytes[at] as number) ^ (1 << random.between(0, 7));
  return true;
}

/** A time until the next of events that come at random, `meanMs` apart on average. */
export function untilNext(meanMs: number, random: Random): number {
  return -Math.log(1 - random.next()) * meanMs;
}
