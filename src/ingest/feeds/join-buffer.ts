/** Updates that came before the snapshot they are to follow: copies, in order, at most `countMax`. */
import type { LevelColumns } from "../../book/levels.ts";
import { pow10 } from "../../book/decimal.ts";
import type { Instrument } from "../../market/instrument.ts";
import type { MarketMessage } from "../../market/message.ts";
import type { SequenceRule } from "./sequence.ts";

/** One update that owns its levels. */
export class BufferedUpdate {
  readonly firstId: number;
  readonly lastId: number;
  readonly previousId: number;
  readonly checksum: number;
  readonly eventTimeUs: number;
  readonly receivedUs: number;
  readonly bids: LevelColumns;
  readonly asks: LevelColumns;
  #priceScale: number;
  #qtyScale: number;

  constructor(message: MarketMessage) {
    this.firstId = message.firstId;
    this.lastId = message.lastId;
    this.previousId = message.previousId;
    this.checksum = message.checksum;
    this.eventTimeUs = message.eventTimeUs;
    this.receivedUs = message.receivedUs;
    this.bids = message.bids.copy();
    this.asks = message.asks.copy();
    this.#priceScale = message.instrument.priceScale;
    this.#qtyScale = message.instrument.qtyScale;
  }

  /** Brings the levels to the instrument's scales of today. */
  rescale(instrument: Instrument): void {
    const priceFactor = pow10(instrument.priceScale - this.#priceScale);
    const qtyFactor = pow10(instrument.qtyScale - this.#qtyScale);
    if (priceFactor === 1 && qtyFactor === 1) return;
    this.bids.rescale(priceFactor, qtyFactor, this.#qtyScale);
    this.asks.rescale(priceFactor, qtyFactor, this.#qtyScale);
    this.#priceScale = instrument.priceScale;
    this.#qtyScale = instrument.qtyScale;
  }
}

export class JoinBuffer {
  readonly countMax: number;
  readonly #updates: BufferedUpdate[] = [];

  constructor(countMax: number) {
    this.countMax = countMax;
  }

  get count(): number {
    return this.#updates.length;
  }

  /** The update that shows a snapshot of that id to be too old to join, or `undefined` when it may. */
  firstNotCovered(rule: SequenceRule, snapshotId: number): BufferedUpdate | undefined {
    const first = this.#updates[0];
    if (first !== undefined && rule.covers?.(snapshotId, first) === false) return first;
    for (const update of this.#updates) {
      const verdict = rule.join(update, snapshotId);
      if (verdict !== "ignore") return verdict === "gap" ? update : undefined;
    }
    return undefined;
  }

  /** Copies a message to the end; `false` when the buffer is full. */
  add(message: MarketMessage): boolean {
    if (this.#updates.length >= this.countMax) return false;
    this.#updates.push(new BufferedUpdate(message));
    return true;
  }

  /** Removes and returns the oldest update. Only while `count` > 0. */
  take(): BufferedUpdate {
    const update = this.#updates.shift();
    if (update === undefined) throw new RangeError("Cannot take from an empty join buffer");
    return update;
  }

  putBack(update: BufferedUpdate): void {
    this.#updates.unshift(update);
  }

  clear(): void {
    this.#updates.length = 0;
  }
}
