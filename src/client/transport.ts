/**
 * What the client needs of the outside world: a two-way stream of bytes.
 *
 * One file implements it per runtime and protocol (`tcp.ts`: Bun's sockets); everything else in this room
 * knows this contract only, so a Node socket or a browser's WebSocket can be added beside it.
 */

/** One open connection. */
export interface Transport {
  /**
   * Hands bytes to the operating system without waiting.
   *
   * @returns How many bytes from `at` on were taken. Fewer than `end - at`: the rest is the caller's to offer
   *   again after `drained()`. The bytes taken may be overwritten at once.
   */
  write(bytes: Uint8Array, at: number, end: number): number;
  /** Stops reading: what the peer sends stays in the kernel, and in time stops the peer. */
  pause(): void;
  /** Reads again. */
  resume(): void;
  /** Closes after everything taken by `write()` has been sent. `closed()` follows. */
  end(): void;
  /** Closes at once. `closed()` follows. */
  abort(): void;
}

/** What a transport reports to its owner. */
export interface TransportEvents {
  /** Bytes arrived. They may be read during the call only. */
  received(chunk: Uint8Array): void;
  /** There is room again after a short `write()`. */
  drained(): void;
  /** The connection is gone; said once, and nothing comes after it. */
  closed(error: Error | undefined): void;
}

/**
 * Opens a connection.
 *
 * @throws {EscError} `SERVER_UNREACHABLE` when nobody answers there.
 */
export type Dial = (events: TransportEvents) => Promise<Transport>;
