/**
 * One client connection, whatever carries it: cuts the bytes into frames, offers events to the engine,
 * answers control frames, and stops reading when the engine has no room.
 *
 *     open → ending (no more input; answers still due) → closing (last bytes out) → gone
 *
 * Everything here runs on the thread that owns the socket. No input can make it throw; what waits is
 * bounded: one partial frame, one unread chunk, one outbox.
 */
import type { Credentials } from "../auth/authenticator.ts";
import type { Caller } from "../auth/caller.ts";
import type { Subject } from "../auth/certificate.ts";
import type { RateLimit } from "../auth/rate.ts";
import { TopicGate } from "../auth/topic-gate.ts";
import type { Subscriptions } from "../deliver/subscriptions.ts";
import { errorFrame, writeAck, writeDetailedAck } from "../event/control-frame.ts";
import type { ErrorReport } from "../event/control-frame.ts";
import { frameLength } from "../event/ext.ts";
import { FRAME_PREFIX_BYTES, REJECT_REASONS } from "../event/frame.ts";
import { ACKS_NONE } from "../event/run.ts";
import { SCAN_BAD_EVENT, SCAN_CONTROL, SCAN_FRAMING_LOST, SCAN_NEED_MORE } from "../event/scan.ts";
import { count } from "../metrics/counters.ts";
import { LIMITS, SOURCE_AUTH_FAILURES, SOURCE_LIMITED, SOURCE_PAUSED } from "../metrics/layout.ts";
import type { Limit } from "../metrics/layout.ts";
import { STATUS_DUPLICATE } from "../queue/completions.ts";
import { answerControl } from "./control.ts";
import { Outbox, OUTBOX_BYTES_MAX, OUTBOX_BYTES_SOFT } from "./outbox.ts";
import { PartialFrame } from "./partial-frame.ts";
import { pump } from "./pump.ts";
import type { SessionContext, SessionSocket } from "./session-context.ts";
import type { Connection, ConnectionSink } from "./source.ts";
import { badLengthMessage, REJECT_MESSAGES, verdictReport } from "./verdict.ts";

/** A client whose connection is ending gets this long to take its last answers. */
const ENDING_US_MAX = 5_000_000;
/** After our last byte, how long we go on reading (and dropping) so that the client can read it. */
const CLOSING_US_MAX = 2_000_000;

const OPEN = 0;
const ENDING = 1;
const CLOSING = 2;
const GONE = 3;

export class Session implements ConnectionSink {
  readonly context: SessionContext;
  readonly connection: Connection;
  readonly outbox: Outbox;
  /** Made with the first SUBSCRIBE. */
  subscriptions: Subscriptions | undefined;
  /** The client has sent a control frame, so it understands answers. */
  speaks = false;
  /** HELLO was accepted. */
  greeted = false;
  /** ACK frames also say how many of the events were duplicates. */
  detailsAcks = false;
  /** When bytes last came, and when the connection was opened: microseconds since the Unix epoch. */
  receivedUs: number;
  readonly openedUs: number;
  readonly #socket: SessionSocket;
  readonly #partial: PartialFrame;
  #state = OPEN;
  /** What the client showed of itself; kept to look at it again after a reload. */
  #credentials: Credentials | undefined;
  #caller: Caller | undefined;
  #gate: TopicGate | undefined;
  #rate: RateLimit | undefined;
  /** Nothing more is read until it is known who the client is. */
  #isIdentifying = false;
  #whenAdmitted: (() => void) | undefined;
  /** Bytes read and not dealt with, while the session is stalled. */
  #rest: Uint8Array | undefined;
  #restAt = 0;
  /** The client has closed its direction (or the socket is gone): nothing comes after `#rest`. */
  #inputEnded = false;
  #socketGone = false;
  /** `#consume()` stopped for want of room rather than of bytes; `#needsRoom`: of room in the ring. */
  #isStalling = false;
  #needsRoom = false;
  #ackDue = false;
  #duplicates = 0;
  #deadlineUs = 0;

  /** @param open Opens the session's connection at the source; the listener has seen that a slot is free. */
  constructor(
    context: SessionContext,
    socket: SessionSocket,
    open: (sink: ConnectionSink) => Connection | undefined,
  ) {
    this.context = context;
    this.#socket = socket;
    this.outbox = new Outbox(socket);
    this.#partial = new PartialFrame(context.maxFrameBytes);
    const connection = open(this);
    if (connection === undefined) throw new RangeError("No connection slot is free");
    this.connection = connection;
    this.receivedUs = this.openedUs = context.nowUs();
    if (context.auth === undefined) this.#rate = context.limits?.rateOf(undefined);
  }

  /** Who the client is, once that is known; never, where auth is off. */
  get caller(): Caller | undefined {
    return this.#caller;
  }

  /** Who it is, for the log. */
  get name(): string {
    const { remoteAddress = "unknown", remotePort = 0 } = this.#socket;
    const who = this.#caller === undefined ? "" : ` (${this.#caller.name})`;
    return `${remoteAddress}:${remotePort}${who}`;
  }

  get isIdentifying(): boolean {
    return this.#isIdentifying;
  }

  /** Finds out who shows these credentials; what the client sends meanwhile waits. */
  identify(credentials: Credentials, whenAdmitted?: () => void): void {
    this.#credentials = credentials;
    this.#whenAdmitted = whenAdmitted;
    this.#isIdentifying = true;
    this.context.auth?.identify(this, credentials);
  }

  /** The client's certificate is verified: it may be somebody. If not, a token can still say who the client is. */
  showCertificate(subject: Subject): void {
    this.identify({ subject });
  }

  /** Looks again at what the client showed: tokens and permissions may have changed. Reading goes on. */
  identifyAgain(): void {
    if (this.#caller === undefined || this.#credentials === undefined || this.#state !== OPEN) return;
    this.context.auth?.identify(this, this.#credentials);
  }

  /** The client is this caller. One that was another before has to connect again. */
  admit(caller: Caller): void {
    if (this.#state !== OPEN) return;
    const isOther = this.#caller !== undefined && !this.#isIdentifying && this.#caller !== caller &&
      !Bun.deepEquals(this.#caller.identity.grants, caller.identity.grants);
    if (isOther) return this.deny("Permissions have changed: connect again");
    this.#isIdentifying = false;
    this.#caller = caller;
    this.#gate = new TopicGate(caller.matcher("publish"));
    this.#rate = this.context.limits?.rateOf(caller);
    this.#whenAdmitted?.();
    this.#whenAdmitted = undefined;
    this.context.wake();
  }

  /** The client is not let in. */
  deny(problem: string): void {
    if (this.#state !== OPEN) return;
    const isIdentifying = this.#isIdentifying;
    this.#isIdentifying = false;
    if (isIdentifying && this.#credentials?.token === undefined && this.#whenAdmitted === undefined) {
      // A certificate that stands for nobody: the client may still have a token.
      this.context.wake();
      return;
    }
    count(this.context.source.counters, SOURCE_AUTH_FAILURES, 1);
    this.sendError({ code: "UNAUTHORIZED", message: problem });
    this.end();
  }

  get isOpen(): boolean {
    return this.#state === OPEN;
  }

  /** Whether every answer it will ever give has been handed to the socket. */
  get isAnswered(): boolean {
    return this.#state >= CLOSING;
  }

  /** Bytes have come. The chunk is the session's from now on. */
  receive(chunk: Uint8Array): void {
    if (this.#state !== OPEN) return; // Read on only so that the client can read our last words.
    this.receivedUs = this.context.nowUs();
    if (this.#rest !== undefined) {
      // The runtime may still deliver one chunk after pause().
      this.#rest = Buffer.concat([this.#rest.subarray(this.#restAt), chunk]);
      this.#restAt = 0;
      return;
    }
    this.#advance(chunk, 0);
    this.context.source.publish();
  }

  /** The client has closed its direction: what it sent is finished first, then its answers, then we close. */
  receiveEnd(): void {
    this.#inputEnded = true;
    if (this.#state >= CLOSING) this.#socket.end();
    else if (this.#rest === undefined) this.#endInput();
  }

  /** The socket is gone; what it had sent is still finished. */
  socketClosed(): void {
    this.#socketGone = true;
    this.outbox.clear();
    this.#inputEnded = true;
    if (this.#rest !== undefined && this.#state === OPEN) return;
    if (this.#state === OPEN) this.#endInput();
    this.#leave();
  }

  /** The socket takes bytes again. */
  drained(): void {
    if (!this.outbox.flush()) return;
    if (this.#ackDue) this.#sendAck();
    if (this.#state !== OPEN) this.advanceEnd();
    else if (this.pump()) this.context.wake();
  }

  /** Tries again to hand on what was kept back. Call for every session in `context.stalled`, once a turn. */
  retry(): void {
    const rest = this.#rest;
    if (rest === undefined || this.#mustWait()) return;
    if (this.#needsRoom && !this.context.source.hasRoom()) return;
    this.#rest = undefined;
    this.#advance(rest, this.#restAt);
    this.context.source.publish();
    if (this.#rest !== undefined) return;
    this.#unstall();
    if (this.#inputEnded) {
      if (this.#state === OPEN) this.#endInput();
      if (this.#socketGone) this.#leave();
    } else {
      this.#socket.resume();
    }
  }

  /** Writes what subscribers wait for, as long as the socket takes it. @returns Whether more is ready now. */
  pump(): boolean {
    const { subscriptions, outbox } = this;
    if (subscriptions === undefined || this.#state !== OPEN || this.#socketGone) return false;
    try {
      return pump(subscriptions, outbox, this.context.pumpTarget);
    } catch (error) {
      // Only the file system throws here; the subscriber may come back to where it was.
      const detail = error instanceof Error ? error.message : String(error);
      this.sendError({ code: "LOG_UNAVAILABLE", message: `The log cannot be read: ${detail}` });
      this.end();
      return false;
    }
  }

  /** Sends a frame to the client, if there still is one. */
  send(frame: Uint8Array): void {
    if (this.#socketGone || this.#state >= CLOSING) return;
    this.outbox.send(frame, 0, frame.length);
    // Answers are asked for: whoever never reads them is asked to leave.
    if (this.outbox.length <= (this.context.limits?.outboxBytesMax ?? OUTBOX_BYTES_MAX)) return;
    this.#countLimit("subscriber_buffer");
    this.#socket.terminate();
  }

  sendError(report: ErrorReport): void {
    this.send(errorFrame(report));
  }

  /** All events up to `done` have their verdict. */
  progress(_done: number): void {
    if (this.#socketGone) return;
    if (this.outbox.length > 0) this.#ackDue = true;
    else this.#sendAck();
    if (this.#state === ENDING) this.advanceEnd();
  }

  /** Events are stored, or were before. */
  stored(status: number, _firstSeq: number, eventCount: number): void {
    if (status === STATUS_DUPLICATE) this.#duplicates += eventCount;
  }

  /** Events were refused behind the listener. Only clients that asked for acknowledgements hear of it. */
  problem(status: number, detail: number, firstSeq: number, eventCount: number): void {
    this.sendError(verdictReport(status, detail, firstSeq, eventCount));
  }

  /** No more input from here on: answers that are due are given, then the connection closes. */
  end(): void {
    if (this.#state !== OPEN) return;
    this.#state = ENDING;
    this.#partial.clear();
    this.#unstall();
    if (this.#rest !== undefined && !this.#socketGone) this.#socket.resume();
    this.#rest = undefined;
    this.subscriptions?.close();
    this.#deadlineUs = this.context.nowUs() + ENDING_US_MAX;
    this.context.ending.add(this);
    this.context.wake();
    this.advanceEnd();
  }

  /** Goes on towards the close. Call for every session in `context.ending`, once a turn. */
  advanceEnd(): void {
    if (this.#state === OPEN || this.#state === GONE) return;
    const nowUs = this.context.nowUs();
    if (this.#state === ENDING) {
      const { connection } = this;
      const isAnswered = connection.acks === ACKS_NONE || connection.tracker.done === connection.seq;
      const isSent = isAnswered && this.outbox.length === 0 && !this.#ackDue;
      if (!isSent && nowUs < this.#deadlineUs) return;
      this.#state = CLOSING;
      this.#deadlineUs = nowUs + CLOSING_US_MAX;
      // A close with unread input would send a reset, which may overtake our last words: read on till theirs.
      if (this.#inputEnded) this.#socket.end();
      else this.#socket.shutdown();
    } else if (nowUs >= this.#deadlineUs) {
      this.#socket.terminate();
    }
  }

  /** Drops the connection at once. */
  abort(): void {
    this.#socket.terminate();
  }

  /** Deals with `chunk[from..]`, or keeps the rest and pauses the socket. */
  #advance(chunk: Uint8Array, from: number): void {
    let at = from;
    const partial = this.#partial;
    if (partial.length > 0) {
      if (!partial.isComplete()) at = partial.take(chunk, at, chunk.length);
      if (!partial.isComplete()) return;
      const end = this.#consume(partial.bytes, 0, partial.length);
      if (this.#state !== OPEN) return;
      if (end < partial.length) return this.#stall(chunk, at);
      partial.clear();
    }
    at = this.#consume(chunk, at, chunk.length);
    if (at === chunk.length || this.#state !== OPEN) return;
    if (this.#isStalling) return this.#stall(chunk, at);
    partial.take(chunk, at, chunk.length);
  }

  /** Takes whole frames from `bytes[from..to)`. @returns Index behind what was taken. */
  #consume(bytes: Uint8Array, from: number, to: number): number {
    const { connection } = this;
    const { scanner, source } = this.context;
    let at = from;
    this.#isStalling = this.#needsRoom = false;
    while (at < to) {
      if (this.#mustWait()) {
        this.#isStalling = true;
        return at;
      }
      const verdict = scanner.scan(bytes, at, to);
      const { end, frameEnd, reason } = scanner;
      if (scanner.count > 0) {
        at = this.#offer(bytes, at, end, scanner.count, scanner.hasIds === 1);
        if (at < end || this.#state !== OPEN) return at;
      }
      if (verdict === SCAN_NEED_MORE) return at;
      if (verdict === SCAN_CONTROL) {
        at = frameEnd;
        answerControl(this, bytes, end, frameEnd);
      } else if (verdict === SCAN_BAD_EVENT) {
        at = frameEnd;
        this.#refuse(reason);
      } else if (verdict === SCAN_FRAMING_LOST) {
        const length = new DataView(bytes.buffer, bytes.byteOffset + end, FRAME_PREFIX_BYTES).getUint32(0);
        const seq = source.refuse(connection, "bad_length");
        const message = badLengthMessage(length, this.context.maxFrameBytes);
        this.sendError({ code: "BAD_LENGTH", message, seq });
        this.end();
        return to;
      }
      if (this.#state !== OPEN) return to;
    }
    return at;
  }

  /**
   * Hands on a run of good frames, without those whose topic the client may not send to.
   *
   * @returns Index behind what was taken; before `end` when the rest must wait, or there is no more of it.
   */
  #offer(bytes: Uint8Array, at: number, end: number, eventCount: number, hasIds: boolean): number {
    const { connection, receivedUs } = this;
    const { source, auth } = this.context;
    const gate = this.#gate;
    if (auth !== undefined && gate === undefined) return this.#refuseUnknown(end);
    let from = at;
    while (from < end) {
      const isOpen = gate === undefined || gate.isOpen;
      const to = isOpen ? end : gate.pass(bytes, from, end);
      const passed = isOpen ? eventCount : gate.count;
      if (passed > 0) {
        if (!source.offer(connection, bytes, from, to, passed, receivedUs, hasIds)) {
          this.#isStalling = this.#needsRoom = true;
          return from;
        }
        this.#rate?.take(this.context.nowUs(), passed, to - from);
        from = to;
      }
      if (to === end) break;
      this.#forbid();
      from = to + frameLength(bytes, to);
      // Each refusal is answered: whoever does not read the answers waits.
      if (from < end && this.#mustWait()) {
        this.#isStalling = true;
        return from;
      }
    }
    return end;
  }

  /** The event behind those that were let through is for a topic that the client may not send to. */
  #forbid(): void {
    const seq = this.context.source.refuse(this.connection, "forbidden");
    if (this.speaks) this.sendError({ code: "FORBIDDEN", message: REJECT_MESSAGES.forbidden, seq });
  }

  /** An event came before its sender said who it is: nobody can be helped here. @returns `end`. */
  #refuseUnknown(end: number): number {
    const seq = this.context.source.refuse(this.connection, "unauthorized");
    count(this.context.source.counters, SOURCE_AUTH_FAILURES, 1);
    const message = "This server takes events from known senders only: say HELLO with a token first";
    this.sendError({ code: "UNAUTHORIZED", message, seq });
    this.end();
    return end;
  }

  #refuse(reasonIndex: number): void {
    const reason = REJECT_REASONS[reasonIndex] ?? "bad_head";
    const seq = this.context.source.refuse(this.connection, reason);
    if (this.speaks) {
      this.sendError({ code: "BAD_EVENT", message: `${REJECT_MESSAGES[reason]} (${reason})`, seq });
    }
  }

  #mustWait(): boolean {
    return this.#isIdentifying || this.context.source.isBlocked(this.connection) ||
      this.outbox.length > OUTBOX_BYTES_SOFT ||
      (this.#rate !== undefined && this.#rate.waitMs(this.context.nowUs()) > 0);
  }

  #countLimit(limit: Limit): void {
    count(this.context.source.counters, SOURCE_LIMITED + LIMITS.indexOf(limit), 1);
  }

  #stall(chunk: Uint8Array, at: number): void {
    this.#rest = chunk;
    this.#restAt = at;
    if (this.context.stalled.has(this)) return;
    this.context.stalled.add(this);
    count(this.context.source.counters, SOURCE_PAUSED, 1);
    if (this.#rate !== undefined && this.#rate.waitMs(this.context.nowUs()) > 0) this.#countLimit("rate");
    this.context.wake();
    if (!this.#inputEnded) this.#socket.pause();
  }

  #unstall(): void {
    if (this.context.stalled.delete(this)) count(this.context.source.counters, SOURCE_PAUSED, -1);
  }

  #endInput(): void {
    if (this.#state !== OPEN) return;
    if (this.#partial.length > 0) this.#refuse(REJECT_REASONS.indexOf("truncated"));
    this.end();
  }

  #sendAck(): void {
    this.#ackDue = false;
    const { done } = this.connection.tracker;
    this.send(this.detailsAcks ? writeDetailedAck(done, this.#duplicates) : writeAck(done));
  }

  #leave(): void {
    if (this.#state === GONE) return;
    if (this.#state === OPEN) this.end();
    this.#state = GONE;
    this.context.ending.delete(this);
    this.context.source.closeConnection(this.connection);
    this.context.onGone(this);
  }
}
