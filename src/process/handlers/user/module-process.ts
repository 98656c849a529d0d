/** A TypeScript handler in a process of its own, which speaks `messages.ts`. Processor thread only. */
import { Child } from "./child.ts";
import {
  type HandlerProcess,
  NOTHING_CHANGED,
  type ProcessEvents,
  residentBytes,
} from "./handler-process.ts";
import {
  ANSWER,
  type BatchAnswer,
  encodeMessage,
  MessageReader,
  READY,
  REFUSED,
  RUN,
  STATE,
} from "./messages.ts";

const NOBODY = new Map<number, never>();

export class ModuleProcess implements HandlerProcess {
  /** It reports when it is ready. */
  readonly startMs = 0;
  readonly #child: Child;
  readonly #events: ProcessEvents;
  /** Events of the batch in hand. */
  #count = 0;
  #isClosed = false;
  /** Why its file was refused. */
  #refusal: string | undefined;

  /** @param command Starts the host with the handler's file. */
  constructor(command: readonly string[], events: ProcessEvents) {
    this.#events = events;
    const messages = new MessageReader((kind, body) => this.#onMessage(kind, body));
    this.#child = new Child(command, {
      onBytes: (bytes) => messages.feed(bytes),
      onLine: (line) => {
        if (!this.#isClosed) events.onLine(line);
      },
      onEnd: (reason) => this.#onEnd(this.#refusal ?? reason),
    });
  }

  get memoryBytes(): number {
    return residentBytes(this.#child.pid);
  }

  restore(entries: readonly (readonly [string, string])[]): void {
    this.#child.write(encodeMessage(STATE, JSON.stringify(entries)));
  }

  run(parcel: Uint8Array, count: number): void {
    this.#count = count;
    this.#child.write(encodeMessage(RUN, parcel));
  }

  kill(reason: string): void {
    this.#child.kill(reason);
  }

  close(): void {
    this.#isClosed = true;
    this.#child.close();
  }

  #onMessage(kind: number, body: Buffer): void {
    if (this.#isClosed) return;
    switch (kind) {
      case READY:
        this.#events.onReady(JSON.parse(body.toString()));
        return;
      case REFUSED:
        this.#refusal = JSON.parse(body.toString());
        return;
      case ANSWER: {
        const { end, outcomes, changes } = JSON.parse(body.toString()) as BatchAnswer;
        const isLast = end === this.#count;
        if (isLast) this.#count = 0;
        this.#events.onResult({
          outcomes: new Map(outcomes),
          changes,
          isAnswered: (index) => index < end,
          isLast,
        });
      }
    }
  }

  #onEnd(reason: string): void {
    if (this.#isClosed) return;
    if (this.#count === 0) {
      this.#events.onEnd(reason);
      return;
    }
    this.#count = 0;
    this.#events.onResult({
      outcomes: NOBODY,
      changes: NOTHING_CHANGED,
      isAnswered: () => false,
      isLast: true,
      ended: reason,
    });
  }
}
