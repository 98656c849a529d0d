/** `auth`, `tls` and `limits` in the file's form. Secrets are not in it; paths of files with secrets are. */
import type { Grants } from "../auth/grants.ts";
import type { Config } from "./config.ts";
import type { Document } from "./document.ts";
import { formatDuration, formatSize } from "./units.ts";

const NONE = "none";
/** Stands for a secret that the file holds as it is. */
const HIDDEN = "***";

export function securityDocument({ auth, tls, limits }: Config): Document {
  const { jwt } = auth;
  return {
    auth: {
      enabled: auth.enabled,
      tokens: auth.tokens.map((token) => ({
        name: token.name,
        sha256: token.sha256,
        expires: token.expiresMs === null ? NONE : new Date(token.expiresMs).toISOString(),
        ...grantsDocument(token.grants),
      })),
      certificates: auth.certificates.map((certificate) => ({
        name: certificate.name,
        subject: Object.entries(certificate.subject).map(([name, value]) =>
          `${name}=${value.replaceAll(",", "\\,")}`
        )
          .join(", "),
        ...grantsDocument(certificate.grants),
      })),
      jwt: {
        secret: jwt === null || jwt.secret === null ? NONE : HIDDEN,
        jwks_file: auth.jwksFile ?? NONE,
        jwks_url: jwt?.jwksUrl ?? NONE,
        ...(jwt === null ? {} : {
          issuer: jwt.issuer ?? NONE,
          audience: jwt.audience ?? NONE,
          algorithms: jwt.algorithms,
          clock_tolerance: formatDuration(jwt.clockToleranceMs),
          scope_claim: jwt.scopeClaim,
          revoked: jwt.revoked,
        }),
      },
      udp: { sources: auth.udp.sources, publish: auth.udp.publish },
    },
    tls: {
      enabled: tls.enabled,
      cert_file: tls.certFile ?? NONE,
      key_file: tls.keyFile ?? NONE,
      ca_file: tls.caFile ?? NONE,
      client_auth: tls.clientAuth,
      tcp: tls.tcp,
      http: tls.http,
    },
    limits: {
      connections_per_address: limits.connectionsPerAddress ?? NONE,
      connects_per_second: limits.connectsPerSecond ?? NONE,
      events_per_second: limits.eventsPerSecond ?? NONE,
      bytes_per_second: limits.bytesPerSecond === null ? NONE : formatSize(limits.bytesPerSecond),
      login_timeout: formatDuration(limits.loginTimeoutMs),
      subscriber_buffer: formatSize(limits.subscriberBufferBytes),
    },
  };
}

function grantsDocument({ publish, subscribe, read, admin }: Grants): Document {
  return { publish, subscribe, read, admin };
}
