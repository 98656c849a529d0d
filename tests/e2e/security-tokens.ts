/** Tokens of every kind, good and bad, made with one RSA and one EC key that a server is told of. */
import { exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { newToken, tokenHash } from "../../src/auth/token.ts";

export const ISSUER = "https://issuer.example";
export const AUDIENCE = "esc";
const GRANTS = "publish:orders.> subscribe:orders.> read:orders.>";

/** One thing that somebody may show, and what it is worth. */
export interface ShownToken {
  readonly name: string;
  /** `undefined`: nothing is shown. */
  readonly token: string | undefined;
  /** `nobody`: not let in. `powerless`: known, and may do nothing. */
  readonly worth: "orders" | "nobody" | "powerless";
}

export interface TokenSet {
  readonly shown: readonly ShownToken[];
  /** Section `auth` of the server's configuration. @param keySetFile Where `keySet` is written. */
  auth(keySetFile: string): Record<string, unknown>;
  readonly keySet: string;
  readonly good: string;
  readonly admin: string;
  readonly everything: string;
}

export async function makeTokens(): Promise<TokenSet> {
  const rsa = await generateKeyPair("RS256", { extractable: true });
  const ec = await generateKeyPair("ES256", { extractable: true });
  const stranger = await generateKeyPair("RS256");
  const keys = [
    { ...await exportJWK(rsa.publicKey), kid: "rsa", alg: "RS256", use: "sig" },
    { ...await exportJWK(ec.publicKey), kid: "ec", alg: "ES256", use: "sig" },
  ];
  const nowSeconds = Math.floor(Date.now() / 1000);
  const claims: JWTPayload = {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: "shop",
    scope: GRANTS,
    jti: "good",
    exp: nowSeconds + 600,
  };
  const without = (...names: string[]) =>
    Object.fromEntries(Object.entries(claims).filter(([name]) => !names.includes(name)));
  const sign = (payload: JWTPayload, { alg = "RS256", kid = "rsa", key = rsa.privateKey } = {}) =>
    new SignJWT(payload).setProtectedHeader({ alg, kid }).sign(key);
  const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

  const good = await sign(claims);
  const [header = "", payload = "", signature = ""] = good.split(".");
  const spki = await exportSPKI(rsa.publicKey);
  const confused = (secret: string) =>
    new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: "rsa" }).sign(Buffer.from(secret));
  const plain = {
    good: newToken(),
    foreign: crypto.randomUUID(),
    expired: newToken(),
    admin: newToken(),
    everything: newToken(),
    none: newToken(),
  };
  const bad = (name: string, token: string | undefined): ShownToken => ({ name, token, worth: "nobody" });

  const shown: ShownToken[] = [
    { name: "a token", token: plain.good, worth: "orders" },
    { name: "a token that was made elsewhere", token: plain.foreign, worth: "orders" },
    { name: "a JWT by RS256", token: good, worth: "orders" },
    {
      name: "a JWT by ES256",
      token: await sign(claims, { alg: "ES256", kid: "ec", key: ec.privateKey }),
      worth: "orders",
    },
    {
      name: "a JWT for several audiences",
      token: await sign({ ...claims, aud: ["x", AUDIENCE] }),
      worth: "orders",
    },
    {
      name: "a JWT that expired within the tolerance",
      token: await sign({ ...claims, exp: nowSeconds - 1 }),
      worth: "orders",
    },
    { name: "a token without grants", token: plain.none, worth: "powerless" },
    { name: "a JWT without scope", token: await sign(without("scope")), worth: "powerless" },
    {
      name: "a JWT with scopes of others",
      token: await sign({ ...claims, scope: "openid email" }),
      worth: "powerless",
    },
    bad("nothing", undefined),
    bad("an unknown token", newToken()),
    bad("an expired token", plain.expired),
    bad("a truncated token", plain.good.slice(0, -1)),
    bad("a token with a letter more", `${plain.good}A`),
    bad("a token in another case", plain.good.slice(0, 4) + plain.good.slice(4).toUpperCase() + "a"),
    bad("a token's hash", tokenHash(plain.good)),
    bad("the prefix alone", "esc_"),
    bad("alg none", `${base64({ alg: "none" })}.${payload}.`),
    bad("alg None, signature kept", `${base64({ alg: "None", kid: "rsa" })}.${payload}.${signature}`),
    bad("alg none, kid known", `${base64({ alg: "none", kid: "rsa" })}.${payload}.`),
    bad("HMAC with the public key in PEM", await confused(spki)),
    bad("HMAC with the public key's modulus", await confused(keys[0]?.n ?? "")),
    bad("expired", await sign({ ...claims, exp: nowSeconds - 60 })),
    bad("not valid yet", await sign({ ...claims, nbf: nowSeconds + 60 })),
    bad("for another audience", await sign({ ...claims, aud: "other" })),
    bad("by another issuer", await sign({ ...claims, iss: "https://evil.example" })),
    bad("without audience", await sign(without("aud"))),
    bad("without issuer", await sign(without("iss"))),
    bad("without subject", await sign(without("sub"))),
    bad("without expiry", await sign(without("exp"))),
    bad("an unknown kid", await sign(claims, { kid: "other" })),
    bad("another key under a known kid", await sign(claims, { key: stranger.privateKey })),
    bad("the EC key's kid on an RSA signature", await sign(claims, { kid: "ec" })),
    bad("truncated", good.slice(0, -10)),
    bad("without signature", `${header}.${payload}.`),
    bad("changed claims", `${header}.${base64({ ...claims, scope: "admin" })}.${signature}`),
    bad("changed header", `${base64({ alg: "RS512", kid: "rsa" })}.${payload}.${signature}`),
    bad("oversized", await sign({ ...claims, filler: "x".repeat(9_000) })),
    bad("revoked", await sign({ ...claims, jti: "revoked" })),
    bad("a pattern that is none", await sign({ ...claims, scope: "publish:a.>.b" })),
    bad("five parts", "a.b.c.d.e"),
    bad("dots", ".."),
    bad("text", "Robert'); DROP TABLE tokens;--"),
  ];
  const entry = (name: string, token: string, grants: object = {}) => ({
    name,
    sha256: tokenHash(token),
    ...grants,
  });
  const orders = { publish: ["orders.>"], subscribe: ["orders.>"], read: ["orders.>"] };
  return {
    shown,
    good: plain.good,
    admin: plain.admin,
    everything: plain.everything,
    keySet: JSON.stringify({ keys }),
    auth: (keySetFile) => ({
      enabled: true,
      tokens: [
        entry("shop", plain.good, orders),
        entry("elsewhere", plain.foreign, orders),
        entry("late", plain.expired, { ...orders, expires: "2020-01-01" }),
        entry("powerless", plain.none),
        entry("ops", plain.admin, { admin: true }),
        entry("all", plain.everything, { publish: [">"], subscribe: [">"], read: [">"] }),
      ],
      jwt: { jwks_file: keySetFile, issuer: ISSUER, audience: AUDIENCE, revoked: ["revoked"] },
    }),
  };
}
