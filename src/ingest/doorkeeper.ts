/**
 * An ingest thread's way to the authenticator, which lives on the main thread: questions go out as messages,
 * answers come back to the session that waits for them.
 */
import type { AuthVerdict, Credentials } from "../auth/authenticator.ts";
import { Callers } from "../auth/callers.ts";
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

export class Doorkeeper implements SessionAuth {
  readonly #post: (message: IdentifyMessage) => void;
  readonly #waiting = new Map<number, Session>();
  readonly #callers = new Callers();
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
    if (verdict.problem === undefined) session.admit(this.#callers.of(verdict.identity));
    else session.deny(verdict.problem);
  }
}
