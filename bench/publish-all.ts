/** One client that publishes over a socket as fast as the server answers, whatever they speak. */
import { EscError } from "../src/errors.ts";
import type { Dialect } from "./dialects.ts";

const BLOCK_MESSAGES = 256;
/** Messages without an answer, where each is answered. */
const WINDOW = 16 * BLOCK_MESSAGES;
const SILENCE_MS_MAX = 30_000;

/**
 * Publishes `count` messages.
 *
 * @returns Nanoseconds from the first byte until the server has answered for the last message.
 * @throws {EscError} `VERIFY_FAILED` when the server answers with an error, closes, or falls silent.
 */
export async function publishAll(dialect: Dialect, port: number, count: number): Promise<number> {
  const publisher = new Publisher(dialect, count);
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      binaryType: "buffer",
      open: (opened) => void opened.setNoDelay(true),
      data: (_socket, chunk: Buffer) => publisher.guard(() => publisher.received(chunk)),
      drain: () => publisher.guard(() => publisher.pump()),
      close: () => publisher.fail("closed the connection"),
    },
  });
  const timer = setTimeout(() => publisher.fail("fell silent"), SILENCE_MS_MAX);
  try {
    return await publisher.run((bytes, at) => Math.max(0, socket.write(bytes, at, bytes.length - at)));
  } finally {
    clearTimeout(timer);
    socket.terminate();
  }
}

type Write = (bytes: Uint8Array, at: number) => number;

class Publisher {
  readonly #dialect: Dialect;
  readonly #count: number;
  readonly #answers;
  readonly #done = Promise.withResolvers<number>();
  #write: Write = () => 0;
  #pending: Uint8Array;
  #pendingAt = 0;
  #sent = 0;
  #isReady = false;
  #isFinishing = false;
  #startedNs = 0;
  readonly #block: Uint8Array;

  constructor(dialect: Dialect, count: number) {
    this.#dialect = dialect;
    this.#count = count;
    this.#answers = dialect.answers();
    this.#pending = dialect.hello;
    this.#block = Buffer.concat(Array.from({ length: BLOCK_MESSAGES }, () => dialect.message));
  }

  run(write: Write): Promise<number> {
    this.#write = write;
    this.pump();
    return this.#done.promise;
  }

  /** A defect ends the round, not the process: the servers are stopped by whoever started them. */
  guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#done.reject(error);
    }
  }

  fail(what: string): void {
    const { server } = this.#dialect;
    const got = `${this.#answers.count} of ${this.#count} messages are answered for`;
    this.#done.reject(new EscError("VERIFY_FAILED", `${server} ${what}: ${got}`));
  }

  received(chunk: Buffer): void {
    const problem = this.#answers.take(chunk);
    if (problem !== undefined) return this.fail(`said ${problem}`);
    if (!this.#isReady && this.#answers.isReady) {
      this.#isReady = true;
      this.#startedNs = Bun.nanoseconds();
    }
    const isAnswered = this.#dialect.isAnswering
      ? this.#answers.count >= this.#count
      : this.#answers.isFinished;
    if (isAnswered && this.#sent === this.#count) {
      return this.#done.resolve(Bun.nanoseconds() - this.#startedNs);
    }
    this.pump();
  }

  /** Writes as much as socket and window take. */
  pump(): void {
    for (;;) {
      if (this.#pendingAt < this.#pending.length) {
        this.#pendingAt += this.#write(this.#pending, this.#pendingAt);
        if (this.#pendingAt < this.#pending.length) return;
      }
      if (!this.#isReady || !this.#next()) return;
      this.#pendingAt = 0;
    }
  }

  #next(): boolean {
    const left = Math.min(BLOCK_MESSAGES, this.#count - this.#sent);
    if (left > 0) {
      if (this.#dialect.isAnswering && this.#sent + left - this.#answers.count > WINDOW) return false;
      this.#sent += left;
      this.#pending = this.#block.subarray(0, left * this.#dialect.message.length);
      return true;
    }
    if (this.#dialect.isAnswering || this.#isFinishing) return false;
    this.#isFinishing = true;
    this.#pending = this.#dialect.finish;
    return true;
  }
}
