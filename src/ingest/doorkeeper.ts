/**
 * An ingest thread's way to the authenticator, which lives on the main thread: questions go out as messages,
 * answers come back to the session that waits for them.
 *
 * Callers are kept by what they may do, so that a thousand connections with one token share their compiled
 * patterns.
 */
import type { AuthVerdict, Credentials } from "../auth/authenticator.ts";
import { Caller, type Identity } from "../auth/caller.ts";
import type { SessionAuth } from "./session-context.ts";
import type { Session } from "./session.ts";

/** Ingest thread → main. */
export interface IdentifyMessage {
  readonly type: "identify";
  readonly question: number;
  readonly credentials: Credentials;
}

/** Main → ingest thread. */
export interface IdentifiedMessage {
  readonly type: "identified";
  readonly question: number;
  readonly verdict: AuthVerdict;
}

const CALLERS_MAX = 1024;

export class Doorkeeper implements SessionAuth {
  readonly #post: (message: IdentifyMessage) => void;
  readonly #waiting = new Map<number, Session>();
  readonly #callers = new Map<string, Caller>();
  #asked = 0;

  constructor(post: (message: IdentifyMessage) => void) {
    this.#post = post;
  }

  identify(session: Session, credentials: Credentials): void {
    const question = ++this.#asked;
    this.#waiting.set(question, session);
    this.#post({ type: "identify", question, credentials });
  }

  receive({ question, verdict }: IdentifiedMessage): void {
    const session = this.#waiting.get(question);
    this.#waiting.delete(question);
    if (session === undefined) return;
    if (verdict.problem === undefined) session.admit(this.#callerOf(verdict.identity));
    else session.deny(verdict.problem);
  }

  #callerOf(identity: Identity): Caller {
    const key = JSON.stringify(identity);
    let caller = this.#callers.get(key);
    if (caller === undefined) {
      if (this.#callers.size >= CALLERS_MAX) this.#callers.clear();
      this.#callers.set(key, caller = new Caller(identity));
    }
    return caller;
  }
}
