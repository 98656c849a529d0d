/** Events that wait for one handler, in parcels of about one batch each. Processor thread only. */
import type { EventRecord } from "../../rules/event-facts.ts";
import { Parcel, ParcelCursor } from "./parcel.ts";

/** A batch is closed when it has reached one of these. */
const BATCH_EVENTS_MAX = 2048;
const BATCH_BYTES_MAX = 256 * 1024;
/** Beyond this the processor hands nothing more to the handler: all of it is in every checkpoint. */
export const WAITING_BYTES_MAX = 8 * 1024 * 1024;

export class WaitingEvents {
  readonly #parcels: Parcel[] = [];
  /** Emptied parcels, for use again. */
  readonly #spare: Parcel[] = [];
  #bytes = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#bytes >= WAITING_BYTES_MAX;
  }

  add(event: EventRecord, isFirst: boolean): void {
    const parcel = this.#open();
    const before = parcel.length;
    parcel.add(event, isFirst);
    this.#bytes += parcel.length - before;
    this.#count++;
  }

  /** Adds what `Parcel.bytes` gave once. */
  addAll(bytes: Uint8Array): void {
    const cursor = new ParcelCursor(bytes);
    while (cursor.next()) {
      this.#open().addRecord(cursor);
      this.#bytes += cursor.recordBytes;
      this.#count++;
    }
  }

  /** The batch that has waited longest; the caller gives it back by `recycle()`. */
  take(): Parcel | undefined {
    const parcel = this.#parcels.shift();
    if (parcel === undefined) return undefined;
    this.#bytes -= parcel.length;
    this.#count -= parcel.count;
    return parcel;
  }

  recycle(parcel: Parcel): void {
    parcel.clear();
    if (this.#spare.length < 2) this.#spare.push(parcel);
  }

  /** All parcels in their order. */
  parcels(): readonly Parcel[] {
    return this.#parcels;
  }

  #open(): Parcel {
    const last = this.#parcels[this.#parcels.length - 1];
    if (last !== undefined && last.count < BATCH_EVENTS_MAX && last.length < BATCH_BYTES_MAX) return last;
    const parcel = this.#spare.pop() ?? new Parcel();
    this.#parcels.push(parcel);
    return parcel;
  }
}
