/** Identities whose patterns are compiled, kept: a thousand clients with one token share them. One thread. */
import { Caller, type Identity } from "./caller.ts";

const CALLERS_MAX = 1024;

export class Callers {
  readonly #callers = new Map<string, Caller>();

  /** The caller for an identity; the same one for the same name and grants, as long as it is remembered. */
  of(identity: Identity): Caller {
    const key = JSON.stringify(identity);
    let caller = this.#callers.get(key);
    if (caller === undefined) {
      if (this.#callers.size >= CALLERS_MAX) this.#callers.clear();
      this.#callers.set(key, caller = new Caller(identity));
    }
    return caller;
  }
}
