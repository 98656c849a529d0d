/**
 * Static tokens: 256 random bits, of which the server keeps the SHA-256 only.
 *
 * A slow password hash would protect guessable secrets; nobody guesses 256 bits, so a fast one is enough
 * and a connect costs microseconds. Whoever reads the configuration cannot make a token of it.
 */
import { createHash, timingSafeEqual } from "node:crypto";

/** Begins every token that esc makes: secret scanners and people recognise it. Others may be configured too. */
export const TOKEN_PREFIX = "esc_";
const TOKEN_BYTES = 32;
/** Longest token of any kind that is looked at. */
export const TOKEN_CHARACTERS_MAX = 8192;
const HASH = /^[0-9a-f]{64}$/;

/** A new token: `esc_` and 43 characters of base64url. */
export function newToken(): string {
  return TOKEN_PREFIX +
    Buffer.from(crypto.getRandomValues(new Uint8Array(TOKEN_BYTES))).toString("base64url");
}

/** SHA-256 of a token in lower-case hexadecimal, as the configuration has it. */
export function tokenHash(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** Whether a text is what `tokenHash()` returns. */
export function isTokenHash(text: string): boolean {
  return HASH.test(text);
}

/** The token of an `Authorization: Bearer …` header; `undefined` when it is something else. */
export function bearerToken(header: string | null): string | undefined {
  return /^Bearer +([\x21-\x7e]+) *$/i.exec(header ?? "")?.[1];
}

/** Finds entries by token. What is compared is compared in constant time. */
export class TokenTable<T> {
  /** By the first bytes of the hash: what they leak of timing says nothing about a token. */
  readonly #buckets = new Map<number, { readonly hash: Buffer; readonly entry: T }[]>();

  /** @param entries Hash as of `tokenHash()`, and what it stands for. */
  constructor(entries: Iterable<readonly [sha256: string, entry: T]>) {
    for (const [sha256, entry] of entries) {
      const hash = Buffer.from(sha256, "hex");
      const key = hash.readUInt32BE(0);
      const bucket = this.#buckets.get(key) ?? [];
      bucket.push({ hash, entry });
      this.#buckets.set(key, bucket);
    }
  }

  find(token: string): T | undefined {
    const hash = createHash("sha256").update(token).digest();
    let found: T | undefined;
    for (const candidate of this.#buckets.get(hash.readUInt32BE(0)) ?? []) {
      if (timingSafeEqual(candidate.hash, hash)) found = candidate.entry;
    }
    return found;
  }
}
