/**
 * What a client has not taken yet. The runtime's sockets buffer nothing: a short write leaves the rest
 * with the caller, and that rest waits here, in order, until the socket drains.
 *
 * Whoever fills it looks at `length` and stops in time: `OUTBOX_BYTES_SOFT` and `OUTBOX_BYTES_MAX`.
 */

/** Above this the connection is not read any more: what it asks for would only add to the pile. */
export const OUTBOX_BYTES_SOFT = 1024 * 1024;
/** Above this the client has ignored its answers for too long and is cut off. */
export const OUTBOX_BYTES_MAX = 8 * 1024 * 1024;
const KEPT_BYTES = 4096;

/** The part of a socket that the outbox needs: answers bytes taken, or -1 when the socket is gone. */
export interface OutboxSocket {
  write(bytes: Uint8Array, byteOffset: number, byteLength: number): number;
}

export class Outbox {
  readonly #socket: OutboxSocket;
  #bytes = new Uint8Array(0);
  #from = 0;
  #to = 0;

  constructor(socket: OutboxSocket) {
    this.#socket = socket;
  }

  /** Bytes waiting for the client. */
  get length(): number {
    return this.#to - this.#from;
  }

  /** Sends `bytes[from..to)` behind everything sent before. Copied where it has to wait. */
  send(bytes: Uint8Array, from: number, to: number): void {
    let at = from;
    if (this.length === 0) {
      const taken = this.#socket.write(bytes, from, to - from);
      if (taken < 0) return; // Gone: its close is on the way.
      at += taken;
    }
    if (at < to) this.#keep(bytes, at, to);
  }

  /** Goes on after the socket drained. @returns Whether nothing waits any more. */
  flush(): boolean {
    if (this.length === 0) return true;
    const taken = this.#socket.write(this.#bytes, this.#from, this.length);
    if (taken < 0) {
      this.clear();
      return true;
    }
    this.#from += taken;
    if (this.#from < this.#to) return false;
    this.clear();
    return true;
  }

  /** Forgets what waits. */
  clear(): void {
    this.#from = this.#to = 0;
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = new Uint8Array(0);
  }

  #keep(bytes: Uint8Array, from: number, to: number): void {
    const added = to - from;
    if (this.#to + added > this.#bytes.length) {
      const length = this.length;
      const target = length + added <= this.#bytes.length / 2
        ? this.#bytes
        : new Uint8Array(Math.max(KEPT_BYTES, (length + added) * 2));
      target.set(this.#bytes.subarray(this.#from, this.#to));
      this.#bytes = target;
      this.#from = 0;
      this.#to = length;
    }
    this.#bytes.set(bytes.subarray(from, to), this.#to);
    this.#to += added;
  }
}
