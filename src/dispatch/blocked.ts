/**
 * Which connections must not be read, because events of theirs wait in a parking ring.
 *
 * A connection may wait at several shards; its flag goes down when the last of them has room again. The
 * flags are shared memory (one Int32 a slot), the reasons are the dispatcher's own. Dispatcher thread only.
 * Bounded: one entry for each connection slot and parked shard.
 */
import { Doorbell } from "../queue/doorbell.ts";
import type { DispatchSource } from "./options.ts";

const SLOTS = 65_536;
const SLOT_MASK = SLOTS - 1;

export class BlockedConnections {
  readonly #flags: readonly Int32Array[];
  readonly #doorbells: readonly Doorbell[];
  /** By shard: source * SLOTS + slot. */
  readonly #waiting: Set<number>[] = [];
  /** Shards at which a connection waits. */
  readonly #shardCounts = new Map<number, number>();

  /** All flags start down: whoever finds parked runs raises them again. */
  constructor(sources: readonly DispatchSource[]) {
    this.#flags = sources.map((source) => new Int32Array(source.blocked));
    this.#doorbells = sources.map((source) => new Doorbell(source.doorbell));
    for (const flags of this.#flags) flags.fill(0);
    // A predecessor may have ended between lowering a flag and telling of it.
    for (const doorbell of this.#doorbells) doorbell.ring();
  }

  /** Raises the flag of a connection that waits at `shard`. @param connection Word of its runs. */
  block(shard: number, source: number, connection: number): void {
    const flags = this.#flags[source];
    const slot = connection & SLOT_MASK;
    if (flags === undefined || slot >= flags.length) return;
    const key = source * SLOTS + slot;
    const waiting = (this.#waiting[shard] ??= new Set());
    if (!waiting.has(key)) {
      waiting.add(key);
      this.#shardCounts.set(key, (this.#shardCounts.get(key) ?? 0) + 1);
    }
    // Also when it was up: a new connection in the same slot has lowered it.
    Atomics.store(flags, slot, 1);
  }

  /** `shard` has room again: lowers the flags of those that waited for nothing else, and tells their sources. */
  unblock(shard: number): void {
    const waiting = this.#waiting[shard];
    if (waiting === undefined || waiting.size === 0) return;
    for (const key of waiting) {
      const shardCount = (this.#shardCounts.get(key) ?? 1) - 1;
      if (shardCount > 0) {
        this.#shardCounts.set(key, shardCount);
        continue;
      }
      this.#shardCounts.delete(key);
      const source = Math.trunc(key / SLOTS);
      const flags = this.#flags[source];
      if (flags !== undefined) Atomics.store(flags, key & SLOT_MASK, 0);
    }
    waiting.clear();
    // A ring that wakes nobody costs one load.
    for (const doorbell of this.#doorbells) doorbell.ring();
  }
}
