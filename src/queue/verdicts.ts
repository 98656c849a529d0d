/**
 * The deciding thread's end of the way back to one source thread: verdicts are written, shown and
 * announced once a batch. Used by the dispatcher and by lane workers, each with its own completions ring.
 *
 * The source never waits for us, so waiting for it cannot deadlock; a source that has died is not
 * waited for, because its connections died with it.
 */
import { COMPLETION_COUNT_MAX, CompletionWriter } from "./completions.ts";
import type { CompletionMemory } from "./completions.ts";
import { COMMAND_STOP, STATE_DEAD, ThreadControl } from "./control.ts";
import { Doorbell } from "./doorbell.ts";

/** How long to sleep while the source's completions ring is full. */
const NAP_MS = 0.2;

export interface VerdictPath {
  readonly completions: CompletionMemory;
  /** The source's. */
  readonly doorbell: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
}

export class VerdictSender {
  readonly #writer: CompletionWriter;
  readonly #doorbell: Doorbell;
  readonly #source: ThreadControl;
  readonly #own: ThreadControl;
  readonly #nap = new Int32Array(new SharedArrayBuffer(4));

  /** @param own Control of the sending thread: a stop command ends a wait. */
  constructor(path: VerdictPath, own: ThreadControl) {
    this.#writer = new CompletionWriter(path.completions);
    this.#doorbell = new Doorbell(path.doorbell);
    this.#source = new ThreadControl(path.control);
    this.#own = own;
  }

  /** Whether this source serves subscriptions and wants to hear of newly visible events. */
  get hasSubscriptions(): boolean {
    return this.#source.subscriptionCount > 0;
  }

  /** Writes one verdict, waiting for room if there is none. Arguments as `CompletionWriter.offer`. */
  send(
    connection: number,
    status: number,
    count: number,
    firstSeq: number,
    offset: number,
    shard: number,
    detail: number,
  ): void {
    if (count > COMPLETION_COUNT_MAX) throw new RangeError(`Verdict of ${count} events is too large`);
    while (!this.#writer.offer(connection, status, count, firstSeq, offset, shard, detail)) {
      this.flush();
      if (this.#source.state === STATE_DEAD || this.#own.command === COMMAND_STOP) return;
      Atomics.wait(this.#nap, 0, 0, NAP_MS);
    }
  }

  /** Makes all verdicts visible and wakes the source if there were any. */
  flush(): void {
    if (this.#writer.publish()) this.#doorbell.ring();
  }

  /** Wakes the source if it sleeps. */
  wake(): void {
    this.#doorbell.ring();
  }
}
