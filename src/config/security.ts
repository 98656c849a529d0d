/** `auth`, `tls` and `limits` of the checked file, with the files they name, and what must fit together. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { addressProblem } from "../auth/addresses.ts";
import type { CertificateEntry, TokenEntry } from "../auth/authenticator.ts";
import { parseSubject } from "../auth/certificate.ts";
import { type Grants, TOPIC_SCOPES } from "../auth/grants.ts";
import { type JwtOptions, SECRET_ALGORITHMS, SECRET_BYTES_MIN } from "../auth/jwt.ts";
import { isTokenHash } from "../auth/token.ts";
import { patternProblem } from "../event/topic.ts";
import type { AuthConfig, Config, LimitsConfig, TlsConfig } from "./config.ts";
import { isLoopback } from "./listeners.ts";
import type { KeyPath, Report } from "./problems.ts";
import type { CheckedFile } from "./schema.ts";

type ReadText = (path: string) => string;
type GrantsInput = { readonly [scope in (typeof TOPIC_SCOPES)[number]]: readonly string[] } & {
  admin: boolean;
};

export function authConfig(auth: CheckedFile["auth"], readText: ReadText, report: Report): AuthConfig {
  return {
    enabled: auth.enabled,
    tokens: auth.tokens.map((token, index) => tokenEntry(token, ["auth", "tokens", index], report)),
    certificates: auth.certificates.map((certificate, index) =>
      certificateEntry(certificate, ["auth", "certificates", index], report)
    ),
    jwt: jwtOptions(auth.jwt, readText, report),
    jwksFile: auth.jwt.jwks_file,
    udp: {
      sources: checked(auth.udp.sources, addressProblem, ["auth", "udp", "sources"], report),
      publish: checked(auth.udp.publish, patternProblem, ["auth", "udp", "publish"], report),
    },
  };
}

export function tlsConfig(tls: CheckedFile["tls"], readText: ReadText, report: Report): TlsConfig {
  const read = (key: "cert_file" | "key_file" | "ca_file") => {
    const path = tls[key];
    return tls.enabled && path !== null ? readFileOf(path, ["tls", key], readText, report) : null;
  };
  return {
    enabled: tls.enabled,
    certFile: tls.cert_file,
    keyFile: tls.key_file,
    caFile: tls.ca_file,
    cert: read("cert_file"),
    key: read("key_file"),
    ca: read("ca_file"),
    clientAuth: tls.client_auth,
    tcp: tls.tcp,
    http: tls.http,
  };
}

export function limitsConfig(limits: CheckedFile["limits"]): LimitsConfig {
  return {
    connectionsPerAddress: limits.connections_per_address,
    connectsPerSecond: limits.connects_per_second,
    eventsPerSecond: limits.events_per_second,
    bytesPerSecond: limits.bytes_per_second,
    loginTimeoutMs: limits.login_timeout,
    subscriberBufferBytes: limits.subscriber_buffer,
  };
}

/** Reports what cannot work together. */
export function checkSecurity({ auth, tls }: Config, report: Report): void {
  const names = [...auth.tokens, ...auth.certificates].length;
  if (auth.enabled && names === 0 && auth.jwt === null) {
    report(
      ["auth", "enabled"],
      "auth is on, and nobody could get in: auth needs tokens, certificates or jwt",
    );
  }
  const hasClientCertificates = tls.enabled && tls.tcp && tls.clientAuth !== "none";
  if (auth.enabled && auth.certificates.length > 0 && !hasClientCertificates) {
    report(["auth", "certificates"], "auth.certificates need tls with client_auth optional or require");
  }
  if (tls.enabled) checkTls(tls, report);
}

function checkTls(tls: TlsConfig, report: Report): void {
  if (tls.certFile === null || tls.keyFile === null) {
    report(["tls"], "tls needs cert_file and key_file", "key");
    return;
  }
  if (tls.clientAuth !== "none" && tls.caFile === null) {
    report(["tls", "client_auth"], "tls.client_auth needs tls.ca_file");
  }
  if (tls.ca !== null && certificateOf(tls.ca) === undefined) {
    report(["tls", "ca_file"], "tls.ca_file holds no certificate in PEM");
  }
  if (tls.cert === null || tls.key === null) return;
  const certificate = certificateOf(tls.cert);
  if (certificate === undefined) {
    report(["tls", "cert_file"], "tls.cert_file holds no certificate in PEM");
    return;
  }
  try {
    const key = createPrivateKey(tls.key);
    if (!certificate.checkPrivateKey(key)) {
      report(["tls", "key_file"], "tls.key_file is not the key of the certificate in tls.cert_file");
    }
  } catch {
    report(["tls", "key_file"], "tls.key_file holds no private key in PEM without a passphrase");
  }
}

function certificateOf(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function tokenEntry(token: CheckedFile["auth"]["tokens"][number], path: KeyPath, report: Report): TokenEntry {
  const sha256 = token.sha256.toLowerCase();
  if (!isTokenHash(sha256)) {
    report(
      [...path, "sha256"],
      `sha256 of token "${token.name}" is not 64 hexadecimal digits: see esc token new`,
    );
  }
  const expiresMs = token.expires === null ? null : Date.parse(token.expires);
  if (expiresMs !== null && (Number.isNaN(expiresMs) || !/^\d{4}-\d\d-\d\d/.test(token.expires ?? ""))) {
    report([...path, "expires"], `expires of token "${token.name}" is no day or time such as 2030-01-31`);
  }
  return { name: token.name, sha256, expiresMs, grants: grantsOf(token, path, report) };
}

function certificateEntry(
  certificate: CheckedFile["auth"]["certificates"][number],
  path: KeyPath,
  report: Report,
): CertificateEntry {
  const subject = parseSubject(certificate.subject);
  if (subject === undefined) {
    report([...path, "subject"], `subject "${certificate.subject}" is no list such as CN=billing, O=acme`);
  }
  return { name: certificate.name, subject: subject ?? {}, grants: grantsOf(certificate, path, report) };
}

function grantsOf(entry: GrantsInput, path: KeyPath, report: Report): Grants {
  for (const scope of TOPIC_SCOPES) checked(entry[scope], patternProblem, [...path, scope], report);
  return { publish: entry.publish, subscribe: entry.subscribe, read: entry.read, admin: entry.admin };
}

/** Reports each text that has a problem. */
function checked(
  texts: readonly string[],
  problemOf: (text: string) => string | undefined,
  path: KeyPath,
  report: Report,
): readonly string[] {
  for (const [index, text] of texts.entries()) {
    const problem = problemOf(text);
    if (problem !== undefined) report([...path, index], problem);
  }
  return texts;
}

function jwtOptions(jwt: CheckedFile["auth"]["jwt"], readText: ReadText, report: Report): JwtOptions | null {
  const { secret, jwks_file: file, jwks_url: url } = jwt;
  const given = [secret, file, url].filter((value) => value !== null).length;
  if (given === 0) return null;
  if (given > 1) report(["auth", "jwt"], "auth.jwt takes one of secret, jwks_file and jwks_url", "key");
  if (secret !== null && Buffer.byteLength(secret) < SECRET_BYTES_MIN) {
    report(["auth", "jwt", "secret"], `auth.jwt.secret must have ${SECRET_BYTES_MIN} bytes or more`);
  }
  const jwks = file === null ? null : readFileOf(file, ["auth", "jwt", "jwks_file"], readText, report);
  if (jwks !== null && !isKeySet(jwks)) {
    report(["auth", "jwt", "jwks_file"], `${file} is not a JSON Web Key Set: {"keys": [...]}`);
  }
  if (url !== null) checkUrl(url, report);
  for (const [index, algorithm] of jwt.algorithms.entries()) {
    const isSecret = SECRET_ALGORITHMS.some((name) => name === algorithm);
    if (isSecret !== (secret !== null)) {
      const kind = secret === null ? "a key set" : "a secret";
      report(["auth", "jwt", "algorithms", index], `${algorithm} does not work with ${kind}`);
    }
  }
  return {
    secret,
    jwks,
    jwksUrl: url,
    issuer: jwt.issuer,
    audience: jwt.audience,
    algorithms: jwt.algorithms,
    clockToleranceMs: jwt.clock_tolerance,
    scopeClaim: jwt.scope_claim,
    revoked: jwt.revoked,
  };
}

/** Keys decide who gets in: they must not come over a line that others can write to. */
function checkUrl(url: string, report: Report): void {
  const parsed = URL.parse(url);
  const isSafe = parsed?.protocol === "https:" ||
    (parsed?.protocol === "http:" && isLoopback(parsed.hostname));
  if (!isSafe) report(["auth", "jwt", "jwks_url"], "auth.jwt.jwks_url must be an https URL");
}

function isKeySet(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "keys" in value && Array.isArray(value.keys);
  } catch {
    return false;
  }
}

function readFileOf(path: string, at: KeyPath, readText: ReadText, report: Report): string | null {
  try {
    return readText(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    report(at, `cannot read ${at.join(".")}: ${reason}`);
    return null;
  }
}
