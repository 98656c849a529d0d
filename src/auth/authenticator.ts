/**
 * Credentials → identity. There is one authenticator, on the main thread: listeners on other threads ask it
 * by message, so that keys, revocations and reloads are in one place and workers stay thin.
 */
import { createHash } from "node:crypto";
import type { Identity } from "./caller.ts";
import { type Subject, subjectMatches } from "./certificate.ts";
import type { Grants } from "./grants.ts";
import { type JwtOptions, JwtVerifier } from "./jwt.ts";
import { RATE_SLOTS } from "./rate.ts";
import { TOKEN_CHARACTERS_MAX, TOKEN_PREFIX, TokenTable } from "./token.ts";

export interface TokenEntry {
  readonly name: string;
  /** As of `tokenHash()`. */
  readonly sha256: string;
  readonly grants: Grants;
  /** Milliseconds since the Unix epoch; `null`: never. */
  readonly expiresMs: number | null;
}

export interface CertificateEntry {
  readonly name: string;
  readonly subject: Subject;
  readonly grants: Grants;
}

export interface AuthOptions {
  readonly tokens: readonly TokenEntry[];
  readonly certificates: readonly CertificateEntry[];
  readonly jwt: JwtOptions | null;
}

/** What somebody shows. A token counts before a certificate; one that is wrong is not made good by it. */
export interface Credentials {
  readonly token?: string;
  /** Of a certificate that the TLS library has verified. */
  readonly subject?: Subject;
}

/** An identity, or what is wrong with the credentials, for whoever showed them. */
export type AuthVerdict =
  | { readonly identity: Identity; readonly problem?: never }
  | { readonly problem: string; readonly identity?: never };

/** Verified JWTs that are remembered, and for how long: a signature costs about 100 µs. */
const VERIFIED_MAX = 4096;
const VERIFIED_MS_MAX = 30_000;

export interface AuthenticatorParts {
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: () => number;
  /** Is told that keys cannot be had. */
  readonly warn: (message: string) => void;
}

/** Main thread. */
export class Authenticator {
  readonly #parts: AuthenticatorParts;
  #tokens: TokenTable<TokenEntry> = new TokenTable([]);
  #certificates: readonly CertificateEntry[] = [];
  #jwt: JwtVerifier | undefined;
  /** By SHA-256 of the token. */
  readonly #verified = new Map<string, { readonly identity: Identity; readonly untilMs: number }>();
  readonly #rateSlots = new Map<string, number>();

  constructor(options: AuthOptions, parts: AuthenticatorParts) {
    this.#parts = parts;
    this.replace(options);
  }

  /** Takes over other tokens, keys and certificates. What was verified by the old ones is forgotten. */
  replace(options: AuthOptions): void {
    this.#tokens = new TokenTable(options.tokens.map((entry) => [entry.sha256, entry]));
    this.#certificates = options.certificates;
    this.#jwt = options.jwt === null ? undefined : new JwtVerifier(options.jwt, this.#parts);
    this.#verified.clear();
  }

  /** Finds out who somebody is. Never rejects for bad credentials. */
  async authenticate({ token, subject }: Credentials): Promise<AuthVerdict> {
    if (token !== undefined) {
      if (token.length > TOKEN_CHARACTERS_MAX) return { problem: "Token is too long" };
      const entry = this.#tokens.find(token);
      if (entry !== undefined) return this.#byEntry(entry);
      return token.startsWith(TOKEN_PREFIX) ? { problem: "Token is not known" } : await this.#byJwt(token);
    }
    if (subject === undefined) return { problem: "A token is needed" };
    const entry = this.#certificates.find((known) => subjectMatches(known.subject, subject));
    if (entry === undefined) return { problem: "The certificate's subject is not known here" };
    return { identity: this.#identity({ ...entry, via: "certificate", expiresMs: null }) };
  }

  #byEntry(entry: TokenEntry): AuthVerdict {
    if (entry.expiresMs !== null && this.#parts.nowMs() >= entry.expiresMs) {
      return { problem: "Token has expired" };
    }
    const { name, grants, expiresMs } = entry;
    return { identity: this.#identity({ name, grants, expiresMs, via: "token" }) };
  }

  async #byJwt(token: string): Promise<AuthVerdict> {
    const jwt = this.#jwt;
    if (jwt === undefined) return { problem: "Token is not known" };
    const hash = createHash("sha256").update(token).digest("latin1");
    const nowMs = this.#parts.nowMs();
    const known = this.#verified.get(hash);
    if (known !== undefined && nowMs < known.untilMs) return { identity: known.identity };
    const facts = await jwt.verify(token);
    if ("problem" in facts) return facts;
    const { subject: name, grants, expiresMs } = facts;
    const identity = this.#identity({ name, grants, expiresMs, via: "jwt" });
    // A reload may have come in between: then it was verified by rules that hold no more for others.
    if (jwt === this.#jwt) {
      if (this.#verified.size >= VERIFIED_MAX) this.#verified.clear();
      this.#verified.set(hash, { identity, untilMs: Math.min(expiresMs, nowMs + VERIFIED_MS_MAX) });
    }
    return { identity };
  }

  #identity({ name, grants, expiresMs, via }: Omit<Identity, "rateSlot">): Identity {
    let rateSlot = this.#rateSlots.get(name);
    if (rateSlot === undefined) {
      rateSlot = Math.min(this.#rateSlots.size, RATE_SLOTS - 1);
      // Names of JWT subjects come from outside: those beyond the table share its last row.
      if (this.#rateSlots.size < RATE_SLOTS) this.#rateSlots.set(name, rateSlot);
    }
    return { name, grants, expiresMs, via, rateSlot };
  }
}
