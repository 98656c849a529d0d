/**
 * Events on their way from the processor into the engine, until they are known to be durable.
 *
 *     hold() → release() → ready → offered → durable: gone
 *     add()  ────────────↗
 *
 * Whatever is not known to be durable is part of the checkpoint. After a crash all of it is sent again, and the
 * message ids see to it that nothing is stored twice. Outputs that the input alone determines go out at once;
 * results of windows are held until the checkpoint that they follow from is written, because the clock has a say
 * in them. Processor thread only. bytes ≤ OUTBOX_BYTES_MAX + one batch's outputs
 */

/** Beyond this the processor reads nothing more until some are durable. */
export const OUTBOX_BYTES_MAX = 16 * 1024 * 1024;
/** Frames sent as one run. */
const RUN_FRAMES_MAX = 256;
const RUN_BYTES_MAX = 60 * 1024;

/** The engine's end: offers one run, or refuses it when there is no room now. */
export type OfferRun = (bytes: Uint8Array, frameCount: number) => boolean;

export class Outbox {
  readonly #held: Uint8Array[] = [];
  readonly #refused: Uint8Array[] = [];
  #ready: Uint8Array[] = [];
  /** Offered and not yet durable, in order; the first has number `#firstSeq`. */
  #offered: Uint8Array[] = [];
  #firstSeq = 1;
  #bytes = 0;
  #scratch = Buffer.alloc(RUN_BYTES_MAX);

  /** Events not known to be durable. */
  get count(): number {
    return this.#held.length + this.#ready.length + this.#offered.length + this.#refused.length;
  }

  get isFull(): boolean {
    return this.#bytes >= OUTBOX_BYTES_MAX;
  }

  /** Whether something waits for `send()`. */
  get hasReady(): boolean {
    return this.#ready.length > 0;
  }

  get hasHeld(): boolean {
    return this.#held.length > 0;
  }

  /** Goes out with the next `send()`. */
  add(frame: Uint8Array): void {
    this.#bytes += frame.length;
    this.#ready.push(frame);
  }

  /** Goes out after the next `release()`. */
  hold(frame: Uint8Array): void {
    this.#bytes += frame.length;
    this.#held.push(frame);
  }

  /** What was held may go: the checkpoint that has it is written. */
  release(): void {
    for (const frame of this.#held) this.#ready.push(frame);
    this.#held.length = 0;
  }

  /** Offers what is ready. @returns Whether anything was taken. */
  send(offer: OfferRun): boolean {
    let sent = 0;
    while (sent < this.#ready.length) {
      const first = this.#ready[sent] as Uint8Array;
      let count = 1;
      let run = first;
      if (first.length < RUN_BYTES_MAX) {
        let bytes = 0;
        for (count = 0; count < RUN_FRAMES_MAX && sent + count < this.#ready.length; count++) {
          const frame = this.#ready[sent + count] as Uint8Array;
          if (bytes + frame.length > RUN_BYTES_MAX) break;
          this.#scratch.set(frame, bytes);
          bytes += frame.length;
        }
        run = this.#scratch.subarray(0, bytes);
      }
      if (!offer(run, count)) break;
      for (let index = 0; index < count; index++) this.#offered.push(this.#ready[sent + index] as Uint8Array);
      sent += count;
    }
    if (sent > 0) this.#ready = this.#ready.slice(sent);
    return sent > 0;
  }

  /** All events up to number `seq` have their verdict. */
  done(seq: number): void {
    const count = Math.min(this.#offered.length, seq - this.#firstSeq + 1);
    if (count <= 0) return;
    for (let index = 0; index < count; index++) this.#bytes -= (this.#offered[index] as Uint8Array).length;
    this.#offered = this.#offered.slice(count);
    this.#firstSeq += count;
  }

  /** Events `firstSeq..firstSeq+count-1` were not stored: they wait for `again()`. Told before their `done()`. */
  refuse(firstSeq: number, count: number): void {
    const from = firstSeq - this.#firstSeq;
    for (const frame of this.#offered.slice(from, from + count)) {
      this.#bytes += frame.length;
      this.#refused.push(frame);
    }
  }

  /** What was refused is offered again. */
  again(): void {
    for (const frame of this.#refused.splice(0)) this.#ready.push(frame);
  }

  save(): string[] {
    return [...this.#refused, ...this.#offered, ...this.#ready, ...this.#held].map((frame) =>
      Buffer.from(frame).toString("base64")
    );
  }

  load(saved: readonly string[]): void {
    for (const text of saved) this.add(new Uint8Array(Buffer.from(text, "base64")));
  }
}
