/** What a session stands between: a socket below, and what all sessions of one listener share. */
import type { Credentials } from "../auth/authenticator.ts";
import type { RateLimit } from "../auth/rate.ts";
import type { Caller } from "../auth/caller.ts";
import type { Subscriptions } from "../deliver/subscriptions.ts";
import type { FrameScanner } from "../event/scan.ts";
import type { OutboxSocket } from "./outbox.ts";
import type { Session } from "./session.ts";
import type { Source } from "./source.ts";

/** What a session needs of the socket below it. `Bun.Socket` is one. */
export interface SessionSocket extends OutboxSocket {
  readonly remoteAddress?: string;
  readonly remotePort?: number;
  pause(): void;
  resume(): void;
  /** Ends our direction after what was written. */
  shutdown(): void;
  /** Ends both directions after what was written. */
  end(): unknown;
  /** Drops the connection at once; bytes under way may be lost. */
  terminate(): void;
}

/** How a listener finds out who its clients are. */
export interface SessionAuth {
  /** Asks who shows these credentials: `session.admit()` or `session.deny()` follows, never before it returns. */
  identify(session: Session, credentials: Credentials): void;
}

/** What one client may send and leave unread. */
export interface SessionLimits {
  /** Buckets of one connection of this caller; `undefined`: none, where nothing is limited. */
  rateOf(caller: Caller | undefined): RateLimit | undefined;
  /** Bytes of answers that a client may leave unread before it is cut off. */
  readonly outboxBytesMax: number;
}

/** What the sessions of one listener share. */
export interface SessionContext {
  readonly source: Source;
  /** Absent where everybody may do everything. */
  readonly auth?: SessionAuth | undefined;
  readonly limits?: SessionLimits | undefined;
  readonly scanner: FrameScanner;
  readonly maxFrameBytes: number;
  readonly serverVersion: string;
  /** Microseconds since the Unix epoch. */
  readonly nowUs: () => number;
  /** Makes the thread's loop take a turn soon. */
  readonly wake: () => void;
  /** Makes the subscriptions of one connection, or `undefined` where none are served. */
  readonly openSubscriptions: ((session: Session) => Subscriptions) | undefined;
  /** Room for the EVENTS frames of one turn, shared by all sessions: `eventsTargetBytesMin()` or more. */
  readonly pumpTarget: Uint8Array;
  /** Sessions that keep unread bytes: `retry()` them. */
  readonly stalled: Set<Session>;
  /** Sessions on their way out: `advanceEnd()` them. */
  readonly ending: Set<Session>;
  /** Called once, when nothing of the session is left. */
  readonly onGone: (session: Session) => void;
}
