/** Verdicts of a lane worker for the producers that wait until their events are durable. */
import { ACKS_DURABLE, RUN_CONNECTION, RUN_COUNT, RUN_ORIGIN, RUN_SEQ_HI, RUN_SEQ_LO } from "../event/run.ts";
import { STATUS_DUPLICATE, STATUS_FAILED, STATUS_OK } from "../queue/completions.ts";
import type { VerdictSender } from "../queue/verdicts.ts";
import type { Sift } from "./sift.ts";

/** `offset` of a verdict without one. */
const NO_OFFSET = -1;

export class Answers {
  readonly #senders: readonly VerdictSender[];
  readonly #shard: number;

  /** @param senders By source number. @param shard Index in the engine's list. */
  constructor(senders: readonly VerdictSender[], shard: number) {
    this.#senders = senders;
    this.#shard = shard;
  }

  /** Tells everybody who waits that the batch is durable: the new events, and the duplicates with their first. */
  stored(words: Int32Array, sift: Sift): void {
    for (let run = 0; run < sift.runCount; run++) {
      const at = sift.runAt[run] as number;
      const sender = this.#senderOf(words, at);
      if (sender === undefined) continue;
      const event = sift.runEvents[run] as number;
      const count = words[(at >> 2) + RUN_COUNT] as number;
      if (event >= 0) this.#storedInParts(sender, words, at, sift, run);
      else this.#send(sender, words, at, STATUS_OK, count, 0, sift.runOffset[run] as number);
    }
  }

  /** One verdict for each stretch of events with the same answer and consecutive offsets. */
  #storedInParts(sender: VerdictSender, words: Int32Array, at: number, sift: Sift, run: number): void {
    const { eventOffsets } = sift;
    const first = sift.runEvents[run] as number;
    const end = first + (words[(at >> 2) + RUN_COUNT] as number);
    let next = sift.runOffset[run] as number;
    for (let from = first; from < end;) {
      const offset = eventOffsets[from] as number;
      const isNew = offset === next;
      let to = from;
      while (to < end && eventOffsets[to] === offset + (to - from) && (eventOffsets[to] === next) === isNew) {
        if (isNew) next++;
        to++;
      }
      this.#send(sender, words, at, isNew ? STATUS_OK : STATUS_DUPLICATE, to - from, from - first, offset);
      from = to;
    }
  }

  /** Tells the producer of a run that it could not be stored. @returns Whether it waits for that. */
  failed(words: Int32Array, at: number): boolean {
    const sender = this.#senderOf(words, at);
    if (sender === undefined) return false;
    this.#send(sender, words, at, STATUS_FAILED, words[(at >> 2) + RUN_COUNT] as number, 0, NO_OFFSET);
    return true;
  }

  #senderOf(words: Int32Array, at: number): VerdictSender | undefined {
    const origin = words[(at >> 2) + RUN_ORIGIN] as number;
    return ((origin >>> 16) & 0xff) === ACKS_DURABLE ? this.#senders[origin & 0xff] : undefined;
  }

  #send(
    sender: VerdictSender,
    words: Int32Array,
    at: number,
    status: number,
    count: number,
    skipped: number,
    offset: number,
  ): void {
    const word = at >> 2;
    const low = (words[word + RUN_SEQ_LO] as number) >>> 0;
    const firstSeq = ((words[word + RUN_SEQ_HI] as number) >>> 0) * 4294967296 + low + skipped;
    sender.send(words[word + RUN_CONNECTION] as number, status, count, firstSeq, offset, this.#shard, 0);
  }

  /** Shows the verdicts; wakes also those who only serve subscriptions, if there is something new to read. */
  flush(hasNews: boolean): void {
    for (const sender of this.#senders) {
      sender.flush();
      if (hasNews && sender.hasSubscriptions) sender.wake();
    }
  }
}
