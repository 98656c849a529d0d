/**
 * Somebody known, and what they may do: the one place where a permission is decided, whatever listener asks.
 */
import { compilePatterns, type TopicMatcher } from "../event/topic.ts";
import { covers } from "./cover.ts";
import { ALL_GRANTS, type Grants, type Scope, type TopicScope } from "./grants.ts";

/** Who somebody is. Structured-cloneable: it travels from the thread that authenticates to the listeners. */
export interface Identity {
  /** Of the configuration's entry, or the subject of a JWT: shown in logs. */
  readonly name: string;
  readonly via: "token" | "jwt" | "certificate" | "none";
  readonly grants: Grants;
  /** When it stops being valid, milliseconds since the Unix epoch; `null`: never. */
  readonly expiresMs: number | null;
  /** Its row in the table of rates; -1: none. */
  readonly rateSlot: number;
}

/** An identity with its patterns compiled. Any thread; immutable. */
export class Caller {
  readonly identity: Identity;
  readonly #matchers: Readonly<Record<TopicScope, TopicMatcher>>;

  constructor(identity: Identity) {
    this.identity = identity;
    const { publish, subscribe, read } = identity.grants;
    this.#matchers = {
      publish: compilePatterns(publish),
      subscribe: compilePatterns(subscribe),
      read: compilePatterns(read),
    };
  }

  get name(): string {
    return this.identity.name;
  }

  /** Whether the scope is granted at all; for topic scopes, for some topic. */
  has(scope: Scope): boolean {
    return scope === "admin" ? this.identity.grants.admin : this.identity.grants[scope].length > 0;
  }

  /** Patterns of the scope, compiled: for checks on bytes. */
  matcher(scope: TopicScope): TopicMatcher {
    return this.#matchers[scope];
  }

  /** Whether the scope is granted for this topic. */
  may(scope: TopicScope, topic: string): boolean {
    const matcher = this.#matchers[scope];
    return matcher.matchesAll || matcher.firstMatchOf(topic) >= 0;
  }

  /**
   * Whether the scope is granted for everything that a pattern matches. One granted pattern must cover it
   * whole: `a.*` is not covered by `a.b` and `a.c` together, as there are more topics than those two.
   */
  covers(scope: TopicScope, pattern: string): boolean {
    if (this.#matchers[scope].matchesAll) return true;
    return this.identity.grants[scope].some((allowed) => covers(allowed, pattern));
  }

  /** The first of the patterns that is not covered. */
  uncovered(scope: TopicScope, patterns: readonly string[]): string | undefined {
    return patterns.find((pattern) => !this.covers(scope, pattern));
  }

  /** Whether it has stopped being valid. */
  isExpired(nowMs: number): boolean {
    const { expiresMs } = this.identity;
    return expiresMs !== null && nowMs >= expiresMs;
  }
}

/** Who everybody is on a server without auth. */
export const EVERYBODY = new Caller({
  name: "everybody",
  via: "none",
  grants: ALL_GRANTS,
  expiresMs: null,
  rateSlot: -1,
});
