/**
 * One connection to a server, from its greeting to its end: control frames in both directions, and event
 * frames outwards.
 *
 * Control frames go out between event frames, never inside one: while an event frame is half written they
 * wait, at most `CONTROL_WAITING_MAX` of them.
 */
import { ERROR_CODES, type ErrorCode, EscError } from "../errors.ts";
import {
  controlFrame,
  type Hello,
  parseAck,
  type Parsed,
  parseDuplicates,
  parseError,
  parseWelcome,
  type Welcome,
} from "../event/control-frame.ts";
import {
  HEAD_CONTROL,
  MAX_FRAME_BYTES_DEFAULT,
  OP_ACK,
  OP_ERROR,
  OP_EVENTS,
  OP_HELLO,
  OP_PING,
  OP_PONG,
  OP_WELCOME,
} from "../event/frame.ts";
import { type Deferred, deferred } from "./deferred.ts";
import { withDeadline } from "./deadline.ts";
import { FrameSplitter } from "./splitter.ts";
import type { Dial, Transport, TransportEvents } from "./transport.ts";

/** An ERROR frame: what the server would not take. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
  /** Number of the first refused event frame, from 1; 0 when the report is not about events. */
  readonly seq: number;
  /** How many events it is about; 0 when it is not about events. */
  readonly count: number;
}

/** What a connection reports to its owner. */
export interface ConnectionEvents {
  /**
   * The first `count` event frames of this connection are answered for.
   *
   * @param duplicates How many are known to have been stored before; `undefined` unless HELLO asked for it.
   */
  acknowledged(count: number, duplicates: number | undefined): void;
  refused(refusal: Refusal): void;
  /** Payload of an EVENTS frame, valid during the call only. */
  delivered(bytes: Uint8Array, at: number, end: number): void;
  /** There is room again after a short `write()`. */
  drained(): void;
  /** Said once, and only of a connection that `open()` returned. */
  closed(error: EscError): void;
}

const CONTROL_WAITING_MAX = 1024;
/** A server may take this long to answer HELLO or PING before it counts as hung. */
const ANSWER_MS_MAX = 10_000;
/** An EVENTS frame carries at least one event, and batches as the server finds practical: room for both. */
const INBOUND_BYTES_MAX = 64 * MAX_FRAME_BYTES_DEFAULT;

/** An open, greeted connection. */
export class Connection {
  readonly #events: ConnectionEvents;
  readonly #splitter: FrameSplitter;
  readonly #pongs: Deferred<void>[] = [];
  readonly #welcomed = deferred<Welcome>();
  #transport: Transport | undefined;
  #welcome: Welcome | undefined;
  #ended: EscError | undefined;
  /** Control frames that wait for the end of a half-written frame, the first from `#controlAt` on. */
  readonly #waiting: Uint8Array[] = [];
  #controlAt = 0;
  /** Bytes that are missing until the event frames offered so far are written whole. */
  #owedBytes = 0;

  private constructor(events: ConnectionEvents) {
    this.#events = events;
    this.#splitter = new FrameSplitter((bytes, at, end) => this.#receive(bytes, at, end), INBOUND_BYTES_MAX);
    // Awaited by open(), unless the connection ends before that.
    this.#welcomed.promise.catch(() => {});
  }

  /**
   * Connects and greets.
   *
   * @throws {EscError} `SERVER_UNREACHABLE`, `TIMEOUT`, or the code with which the server refused.
   */
  static async open(dial: Dial, hello: Hello, events: ConnectionEvents): Promise<Connection> {
    const connection = new Connection(events);
    connection.#transport = await dial(connection.#transportEvents());
    connection.sendJson(OP_HELLO, hello);
    try {
      connection.#welcome = await withDeadline(connection.#welcomed.promise, "HELLO", ANSWER_MS_MAX);
      return connection;
    } catch (error) {
      connection.#transport.abort();
      throw error;
    }
  }

  get welcome(): Welcome {
    if (this.#welcome === undefined) throw new Error("Connection has not been welcomed");
    return this.#welcome;
  }

  /**
   * Writes event frames, as much as there is room for.
   *
   * @param end End of a frame. The bytes not taken must be offered first next time, after `drained()`.
   * @returns How many bytes were taken.
   */
  write(bytes: Uint8Array, at: number, end: number): number {
    let from = at;
    if (this.#waiting.length > 0) {
      // Only up to the end of the frame that is half written, then it is the control frames' turn.
      const stop = at + this.#owedBytes;
      if (stop > at) from += this.#writeFrames(bytes, at, stop);
      if (from < stop || !this.#writeControls()) return from - at;
    }
    return from - at + this.#writeFrames(bytes, from, end);
  }

  /** Sends a control frame whose payload is JSON. Nothing happens on a connection that has ended. */
  sendJson(opcode: number, value: object): void {
    this.#sendControl(opcode, JSON.stringify(value));
  }

  /**
   * Asks the server for an answer. It comes after everything sent before has been read, and after its answers.
   *
   * @param answerMsMax How long to wait; `Infinity` while a full lane may rightly hold the server up.
   * @throws {EscError} `TIMEOUT`, or why the connection ended.
   */
  async ping(answerMsMax = ANSWER_MS_MAX): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended;
    const pong = deferred<void>();
    this.#pongs.push(pong);
    // A body has at least three bytes, so a PING carries one: any.
    this.#sendControl(OP_PING, "?");
    await withDeadline(pong.promise, "PING", answerMsMax);
  }

  /** Stops reading until `resume()`. */
  pause(): void {
    this.#transport?.pause();
  }

  resume(): void {
    this.#transport?.resume();
  }

  /** Closes after everything taken by `write()` has been sent. */
  end(): void {
    this.#transport?.end();
  }

  /** Closes at once. */
  abort(): void {
    this.#transport?.abort();
  }

  #writeFrames(bytes: Uint8Array, at: number, end: number): number {
    if (this.#transport === undefined || this.#ended !== undefined) return 0;
    const taken = this.#transport.write(bytes, at, end);
    this.#owedBytes = end - at - taken;
    return taken;
  }

  #sendControl(opcode: number, payload: Uint8Array | string): void {
    if (this.#ended !== undefined) return;
    if (this.#waiting.length >= CONTROL_WAITING_MAX) {
      return this.#fail(new EscError("TIMEOUT", "Cannot send: the server has stopped reading"));
    }
    this.#waiting.push(controlFrame(opcode, payload));
    if (this.#owedBytes === 0) this.#writeControls();
  }

  /** Writes the waiting control frames. @returns Whether none is left. */
  #writeControls(): boolean {
    for (;;) {
      const frame = this.#waiting[0];
      if (frame === undefined) return true;
      this.#controlAt += this.#transport?.write(frame, this.#controlAt, frame.length) ?? 0;
      if (this.#controlAt < frame.length) return false;
      this.#waiting.shift();
      this.#controlAt = 0;
    }
  }

  #transportEvents(): TransportEvents {
    return {
      received: (chunk) => {
        try {
          if (this.#ended === undefined) this.#splitter.feed(chunk);
        } catch (error) {
          this.#fail(asEscError(error));
        }
      },
      drained: () => {
        if (this.#owedBytes > 0 || this.#writeControls()) this.#events.drained();
      },
      closed: (error) =>
        this.#close(new EscError("SERVER_UNREACHABLE", "Server closed the connection", { cause: error })),
    };
  }

  /** Ends the connection for a reason of our own. */
  #fail(error: EscError): void {
    this.#close(error);
    this.#transport?.abort();
  }

  #close(error: EscError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    for (const pong of this.#pongs) pong.reject(error);
    if (this.#welcome === undefined) this.#welcomed.reject(error);
    else this.#events.closed(error);
  }

  #receive(bytes: Uint8Array, at: number, end: number): void {
    const opcode = bytes[at] === HEAD_CONTROL ? bytes[at + 1] : undefined;
    if (opcode === OP_EVENTS) return this.#events.delivered(bytes, at + 2, end);
    const payload = bytes.subarray(at + 2, end);
    switch (opcode) {
      case OP_ACK:
        return this.#acknowledge(parseAck(payload), parseDuplicates(payload));
      case OP_ERROR:
        return this.#refuse(valueOf(parseError(payload)));
      case OP_PONG:
        return this.#pongs.shift()?.resolve();
      case OP_PING:
        return this.#sendControl(OP_PONG, payload.slice());
      case OP_WELCOME:
        return this.#welcomed.resolve(valueOf(parseWelcome(payload)));
      default:
        throw new EscError(
          "BAD_CONTROL",
          `Server sent an unknown frame (head ${bytes[at]}, opcode ${bytes[at + 1]})`,
        );
    }
  }

  #acknowledge(count: number | undefined, duplicates: number | undefined): void {
    if (count === undefined) {
      throw new EscError("BAD_CONTROL", "Server sent an ACK that is not 8 or 16 bytes");
    }
    this.#events.acknowledged(count, duplicates);
  }

  #refuse(report: { code: string; message: string; seq?: number; count?: number }): void {
    const { code, message, seq = 0 } = report;
    // Before the welcome it is the greeting that was refused: its token, or one connection too many.
    if (this.#welcome === undefined) this.#fail(refusalError({ code, message }));
    else this.#events.refused({ code, message, seq, count: seq === 0 ? 0 : report.count ?? 1 });
  }
}

/** A refusal as an error. A newer server may have codes that this client does not know: `INTERNAL` then. */
export function refusalError(refusal: { readonly code: string; readonly message: string }): EscError {
  const known = (code: string): code is ErrorCode => code === refusal.code;
  const code = Object.keys(ERROR_CODES).find(known) ?? "INTERNAL";
  return new EscError(code, `Server refused: ${refusal.message}`);
}

/** Takes the value of a control frame. @throws {EscError} `BAD_CONTROL` if it has none. */
function valueOf<T>(parsed: Parsed<T>): T {
  if (parsed.problem === undefined) return parsed.value;
  throw new EscError("BAD_CONTROL", `Server sent a control frame that cannot be read: ${parsed.problem}`);
}

function asEscError(error: unknown): EscError {
  if (error instanceof EscError) return error;
  return new EscError("INTERNAL", "Handling a frame of the server failed", { cause: error });
}
