/**
 * Proves that what came back is what was sent: nothing missing, nothing twice, in order for each client and
 * shard, every byte as it was.
 *
 * Memory: one bit an event, and one number for each client and shard.
 */
import type { EventCursor } from "../../src/client/events.ts";
import { frameLength, payloadEnd, payloadStart } from "../../src/event/ext.ts";
import { type EventIdentity, FrameBlock, IDENTITY_BYTES, readIdentity, type StressPlan } from "./plan.ts";

export interface Verdict {
  /** Events that were taken by the server, as far as it said. */
  readonly expected: number;
  /** Different events that came back. */
  readonly found: number;
  readonly missing: number;
  readonly doubled: number;
  readonly outOfOrder: number;
  /** Events whose topic or payload changed, or that nobody sent. */
  readonly damaged: number;
}

export class Verifier {
  readonly #plan: StressPlan;
  readonly #run: Uint8Array;
  /** What client 0 sent: the others differ only in their own digits. */
  readonly #blocks: FrameBlock[];
  readonly #seen: Uint8Array[];
  readonly #identity: EventIdentity = { client: 0, seq: 0 };
  /** Last number seen of each client, by `lane/shard`. */
  readonly #last = new Map<string, Int32Array>();
  #found = 0;
  #doubled = 0;
  #outOfOrder = 0;
  #damaged = 0;

  constructor(plan: StressPlan) {
    this.#plan = plan;
    this.#run = Buffer.from(plan.run);
    this.#blocks = Array.from({ length: plan.clients }, (_, client) => new FrameBlock(plan, client));
    this.#seen = Array.from({ length: plan.clients }, () => new Uint8Array(Math.ceil(plan.events / 8)));
  }

  /** Different events of this run seen so far. */
  get found(): number {
    return this.#found;
  }

  /** Looks at every event of one EVENTS frame; those of others are passed over. */
  read(events: EventCursor): void {
    const bytes = Buffer.from(events.bytes.buffer, events.bytes.byteOffset, events.bytes.byteLength);
    let last: Int32Array | undefined;
    while (events.next()) {
      const at = events.frameAt;
      const payloadAt = payloadStart(bytes, at);
      if (payloadEnd(bytes, at) - payloadAt < IDENTITY_BYTES) continue;
      if (!readIdentity(this.#run, bytes, payloadAt, this.#identity)) continue;
      last ??= this.#lastOf(`${events.lane}/${events.shard}`);
      this.#judge(last, bytes, at);
    }
  }

  /** @param sentCounts Events each client sent. @param refusedCount Events the server said it did not take. */
  verdict(sentCounts: readonly number[], refusedCount: number): Verdict {
    const expected = sentCounts.reduce((sum, count) => sum + count, 0) - refusedCount;
    return {
      expected,
      found: this.#found,
      missing: Math.max(0, expected - this.#found),
      doubled: this.#doubled,
      outOfOrder: this.#outOfOrder,
      damaged: this.#damaged,
    };
  }

  #judge(last: Int32Array, bytes: Buffer, at: number): void {
    const { client, seq } = this.#identity;
    const seen = this.#seen[client];
    const block = this.#blocks[client];
    const isKnown = seen !== undefined && block !== undefined && seq < this.#plan.events;
    if (!isKnown || !block.isIntact(seq, bytes, at, frameLength(bytes, at))) {
      this.#damaged++;
      return;
    }
    const byte = seen[seq >> 3] as number;
    const bit = 1 << (seq & 7);
    if ((byte & bit) !== 0) {
      this.#doubled++;
      return;
    }
    seen[seq >> 3] = byte | bit;
    this.#found++;
    if (seq < (last[client] as number)) this.#outOfOrder++;
    last[client] = seq;
  }

  #lastOf(shard: string): Int32Array {
    let last = this.#last.get(shard);
    if (last === undefined) {
      last = new Int32Array(this.#plan.clients).fill(-1);
      this.#last.set(shard, last);
    }
    return last;
  }
}
