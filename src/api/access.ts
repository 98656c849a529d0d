/**
 * Who sends a request, and whether the route is theirs to use; and who looks after what lasts longer than a
 * request. Main thread.
 */
import type { Authenticator, Credentials } from "../auth/authenticator.ts";
import { type Caller, EVERYBODY } from "../auth/caller.ts";
import { Callers } from "../auth/callers.ts";
import type { RateLimit } from "../auth/rate.ts";
import { bearerToken } from "../auth/token.ts";
import type { SessionLimits } from "../ingest/session-context.ts";
import { count } from "../metrics/counters.ts";
import { SOURCE_AUTH_FAILURES } from "../metrics/layout.ts";
import { type Need, needOf } from "./needs.ts";
import { problem } from "./problem.ts";
import type { Route } from "./route.ts";

/** One action of an administrator, or an attempt at one. */
export interface AuditEntry {
  /** Name of the caller; `unknown` when it is nobody. */
  readonly who: string;
  /** Such as `DELETE /api/v1/consumers?name=billing`. */
  readonly action: string;
  /** HTTP status of the answer. */
  readonly status: number;
  readonly address: string;
}

export interface AccessOptions {
  /** Absent: auth is off, and everybody may do everything. */
  readonly door?: Pick<Authenticator, "authenticate"> | undefined;
  readonly limits?: SessionLimits | undefined;
  /** Counter block of the main thread. */
  readonly counters: Float64Array;
  readonly audit: (entry: AuditEntry) => void;
  readonly nowMs: () => number;
}

/** Something that lasts, and ends when its caller is not welcome any more. */
export interface Stay {
  readonly credentials: Credentials;
  readonly caller: Caller;
  /** @param reason For the client. */
  readonly end: (reason: string) => void;
}

/** A caller, or what is wrong with the credentials. */
export type Found = { readonly caller: Caller; readonly problem?: never } | {
  readonly problem: string;
  readonly caller?: never;
};

/** A caller, or the response that refuses it. */
export type Admission =
  | { readonly caller: Caller; readonly credentials: Credentials; readonly response?: never }
  | { readonly response: Response; readonly who: string };

/** How a request ended, and where it came from. */
export interface Answered {
  readonly status: number;
  readonly address: string;
}

const UNKNOWN = "unknown";
const ACTION_CHARACTERS_MAX = 300;

export class Access {
  readonly #options: AccessOptions;
  readonly #callers = new Callers();
  readonly #stays = new Set<Stay>();

  constructor(options: AccessOptions) {
    this.#options = options;
  }

  /**
   * Finds out who sends a request to a route.
   *
   * @param url Its `access_token` is taken off: for WebSockets only, because browsers give them no headers.
   */
  async admit(route: Route, request: Request, url: URL): Promise<Admission> {
    const { door } = this.#options;
    const need = needOf(route);
    if (door === undefined) return { caller: EVERYBODY, credentials: {} };
    const token = bearerToken(request.headers.get("authorization")) ?? queryToken(request, url);
    const credentials = token === undefined ? {} : { token };
    if (need === "public") return { caller: EVERYBODY, credentials };
    const found = await this.identify(credentials);
    if (found.caller === undefined) {
      return { response: unauthorized(found.problem, token !== undefined), who: UNKNOWN };
    }
    const { caller } = found;
    if (has(caller, need)) return { caller, credentials };
    return { response: insufficient(caller, need), who: caller.name };
  }

  /** Finds out who shows these credentials; failures are counted. */
  async identify(credentials: Credentials): Promise<Found> {
    const { door } = this.#options;
    if (door === undefined) return { caller: EVERYBODY };
    const verdict = await door.authenticate(credentials);
    if (verdict.identity !== undefined) return { caller: this.#callers.of(verdict.identity) };
    count(this.#options.counters, SOURCE_AUTH_FAILURES, 1);
    return { problem: verdict.problem };
  }

  /** How much the caller may still send; `undefined`: no limit, as where nobody says who they are. */
  rateOf(caller: Caller): RateLimit | undefined {
    return this.#options.door === undefined ? undefined : this.#options.limits?.rateOf(caller);
  }

  /** Notes what an administrator did, or tried. Looking at things is no action. */
  note(route: Route, url: URL, admission: Admission, { status, address }: Answered): void {
    if (needOf(route) !== "admin" || (route.method === "GET" && status < 400)) return;
    const who = admission.response === undefined ? admission.caller.name : admission.who;
    const place = `${url.pathname}${url.search}`.slice(0, ACTION_CHARACTERS_MAX);
    this.#options.audit({ who, action: `${route.method} ${place}`, status, address });
  }

  /** Looks after a stream or socket until the answer is called. */
  watch(stay: Stay): () => void {
    if (this.#options.door === undefined) return () => {};
    this.#stays.add(stay);
    return () => void this.#stays.delete(stay);
  }

  /** Ends what has outlived its token. Call about once a second. */
  sweep(): void {
    const nowMs = this.#options.nowMs();
    for (const stay of this.#stays) {
      if (stay.caller.isExpired(nowMs)) this.#end(stay, "Token has expired");
    }
  }

  /** Tokens or permissions have changed: ends what is not allowed any more as it was. */
  async identifyAgain(): Promise<void> {
    const { door } = this.#options;
    if (door === undefined) return;
    for (const stay of [...this.#stays]) {
      const verdict = await door.authenticate(stay.credentials);
      if (verdict.identity === undefined) this.#end(stay, verdict.problem);
      else if (!Bun.deepEquals(verdict.identity.grants, stay.caller.identity.grants)) {
        this.#end(stay, "Permissions have changed: connect again");
      }
    }
  }

  #end(stay: Stay, reason: string): void {
    if (!this.#stays.delete(stay)) return;
    count(this.#options.counters, SOURCE_AUTH_FAILURES, 1);
    stay.end(reason);
  }
}

function has(caller: Caller, need: Exclude<Need, "public">): boolean {
  if (need === "known") return true;
  if (need === "figures") return caller.has("read") || caller.has("admin");
  return need === "read everything" ? caller.covers("read", ">") : caller.has(need);
}

function queryToken(request: Request, url: URL): string | undefined {
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") return undefined;
  const token = url.searchParams.get("access_token") ?? undefined;
  url.searchParams.delete("access_token");
  return token;
}

/** RFC 6750: the error is told only to those who showed a token. */
function unauthorized(detail: string, hasToken: boolean): Response {
  const challenge = hasToken ? 'Bearer realm="esc", error="invalid_token"' : 'Bearer realm="esc"';
  return problem(401, detail, { code: "UNAUTHORIZED", headers: { "www-authenticate": challenge } });
}

/** What a need is called in a refusal, where its name is not a verb. */
const WORDS: Partial<Record<Need, string>> = { admin: "administrate", figures: "read" };

function insufficient(caller: Caller, need: Need): Response {
  return problem(403, `"${caller.name}" has no permission to ${WORDS[need] ?? need}`, {
    code: "FORBIDDEN",
    headers: { "www-authenticate": `Bearer realm="esc", error="insufficient_scope"` },
  });
}

/** The refusal of a topic or pattern. */
export function forbidden(scope: string, topic: string): Response {
  return problem(403, `No permission to ${scope} "${topic.slice(0, 255)}"`, { code: "FORBIDDEN" });
}
