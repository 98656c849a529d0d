/**
 * JSON Web Tokens (RFC 7519), verified by `jose`.
 *
 * The kind of key decides which algorithms count: a shared secret only HMAC, a key set only signatures.
 * So no token can choose `none`, or turn a public key into an HMAC secret.
 */
import type { JWTPayload, JWTVerifyGetKey, JWTVerifyOptions } from "jose";
import { type Grants, parseGrants } from "./grants.ts";

export const SECRET_ALGORITHMS = ["HS256", "HS384", "HS512"] as const;
export const KEY_ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
] as const;
export const ALGORITHMS = [...SECRET_ALGORITHMS, ...KEY_ALGORITHMS] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** Shortest HMAC secret: as long as the shortest hash. */
export const SECRET_BYTES_MIN = 32;
/** How long a fetched key set is good for, and how soon an unknown key may cause another fetch. */
const JWKS_MS_MAX = 600_000;
const JWKS_COOLDOWN_MS = 10_000;
const JWKS_TIMEOUT_MS = 3_000;

export interface JwtOptions {
  /** Exactly one of the three is set. */
  readonly secret: string | null;
  /** Text of a JSON Web Key Set. */
  readonly jwks: string | null;
  readonly jwksUrl: string | null;
  /** `null`: not checked. */
  readonly issuer: string | null;
  readonly audience: string | null;
  /** Empty: all that fit the kind of key. */
  readonly algorithms: readonly Algorithm[];
  readonly clockToleranceMs: number;
  /** Claim with the grants: a text with spaces, or a list. */
  readonly scopeClaim: string;
  /** `jti` of tokens that are not valid any more. */
  readonly revoked: readonly string[];
}

/** What a good token says. */
export interface JwtFacts {
  readonly subject: string;
  readonly grants: Grants;
  readonly expiresMs: number;
}

export class JwtVerifier {
  readonly #options: JwtOptions;
  readonly #revoked: ReadonlySet<string>;
  readonly #parts: { readonly nowMs: () => number; readonly warn: (message: string) => void };
  #key: Promise<JWTVerifyGetKey | Uint8Array> | undefined;

  constructor(
    options: JwtOptions,
    parts: { readonly nowMs: () => number; readonly warn: (message: string) => void },
  ) {
    this.#options = options;
    this.#revoked = new Set(options.revoked);
    this.#parts = parts;
  }

  /** Verifies a token. @returns What it says, or what is wrong with it. */
  async verify(token: string): Promise<JwtFacts | { readonly problem: string }> {
    const { errors, jwtVerify } = await import("jose");
    const key = await (this.#key ??= loadKey(this.#options));
    try {
      // Two calls, because a key and a function that finds one are different overloads.
      const { payload } = key instanceof Uint8Array
        ? await jwtVerify(token, key, this.#rules())
        : await jwtVerify(token, key, this.#rules());
      return this.#read(payload);
    } catch (error) {
      if (error instanceof errors.JWTExpired) return { problem: "Token has expired" };
      if (error instanceof errors.JWTClaimValidationFailed) {
        return { problem: `Token has a wrong claim "${error.claim}"` };
      }
      if (error instanceof errors.JWKSNoMatchingKey) return { problem: "Token is signed by an unknown key" };
      const isFetch = !(error instanceof errors.JOSEError) || error instanceof errors.JWKSTimeout ||
        error.code === "ERR_JOSE_GENERIC";
      if (!isFetch) return { problem: "Token is not valid" };
      // Not the token's fault: the keys could not be fetched, or are no keys.
      this.#parts.warn(`Cannot use the keys that tokens are checked by: ${error}`);
      return { problem: "The keys that tokens are checked by cannot be had now" };
    }
  }

  #rules(): JWTVerifyOptions {
    const { secret, issuer, audience, clockToleranceMs } = this.#options;
    const fitting: readonly Algorithm[] = secret === null ? KEY_ALGORITHMS : SECRET_ALGORITHMS;
    const wanted = this.#options.algorithms;
    return {
      algorithms: wanted.length === 0 ? [...fitting] : fitting.filter((name) => wanted.includes(name)),
      requiredClaims: ["exp", "sub"],
      clockTolerance: clockToleranceMs / 1000,
      currentDate: new Date(this.#parts.nowMs()),
      ...(issuer === null ? {} : { issuer }),
      ...(audience === null ? {} : { audience }),
    };
  }

  #read(payload: JWTPayload): JwtFacts | { readonly problem: string } {
    const { sub, exp, jti } = payload;
    if (typeof sub !== "string" || sub === "" || sub.length > 256 || exp === undefined) {
      return { problem: "Token names no subject" };
    }
    if (jti !== undefined && this.#revoked.has(jti)) return { problem: "Token is revoked" };
    const claim = payload[this.#options.scopeClaim];
    const words = typeof claim === "string" ? claim.split(" ") : Array.isArray(claim) ? claim : [];
    const grants = parseGrants(words.filter((word) => typeof word === "string"));
    if ("problem" in grants) return { problem: `Token has a bad ${grants.problem}` };
    return { subject: sub, grants, expiresMs: exp * 1000 + this.#options.clockToleranceMs };
  }
}

async function loadKey(options: JwtOptions): Promise<JWTVerifyGetKey | Uint8Array> {
  const { createLocalJWKSet, createRemoteJWKSet } = await import("jose");
  if (options.secret !== null) return Buffer.from(options.secret);
  if (options.jwks !== null) return createLocalJWKSet(JSON.parse(options.jwks));
  return createRemoteJWKSet(new URL(options.jwksUrl ?? ""), {
    cacheMaxAge: JWKS_MS_MAX,
    cooldownDuration: JWKS_COOLDOWN_MS,
    timeoutDuration: JWKS_TIMEOUT_MS,
  });
}
