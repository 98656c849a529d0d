/** Keys of who may do what, over which encryption, and how much: `auth`, `tls`, `limits`. */
import { ALGORITHMS } from "../auth/jwt.ts";
import {
  choice,
  duration,
  flag,
  limit,
  optionalSize,
  optionalText,
  requiredText,
  size,
  text,
} from "./leaves.ts";
import { list, section } from "./shapes.ts";

const PATTERN = requiredText("A topic or pattern, such as orders.>");

/** What an entry is allowed; nothing unless it says so. */
const grants = {
  publish: list("Patterns of the topics it may send to", PATTERN).prefault([]),
  subscribe: list("Patterns of the topics it may receive as they come", PATTERN).prefault([]),
  read: list("Patterns of the topics it may query; any one also allows metrics and statistics", PATTERN)
    .prefault([]),
  admin: flag("May steer the server: control, configuration, dead letters, consumers", false),
};

const token = section("A token, of which only the hash is kept", {
  name: requiredText("Whose it is, for logs and limits"),
  sha256: requiredText("SHA-256 of the token in hexadecimal; esc token new makes both"),
  expires: optionalText("Day or time (ISO 8601) from which it is refused"),
  ...grants,
});

const certificate = section("A client certificate that stands for somebody", {
  name: requiredText("Whose it is, for logs and limits"),
  subject: requiredText("Attributes that its subject must have, such as CN=billing, O=acme"),
  ...grants,
});

const jwt = section("JSON Web Tokens; set one of secret, jwks_file and jwks_url to accept them", {
  secret: optionalText("Shared secret for HS256, HS384, HS512; at least 32 bytes"),
  jwks_file: optionalText("File with a JSON Web Key Set, relative to this file"),
  jwks_url: optionalText("https URL of a JSON Web Key Set; it is fetched again every 10 minutes"),
  issuer: optionalText("Required value of iss"),
  audience: optionalText("Required value, or one of the values, of aud"),
  algorithms: list(
    "Algorithms accepted; empty: all that fit the kind of key",
    choice("An algorithm", ALGORITHMS, "RS256"),
  )
    .prefault([]),
  clock_tolerance: duration("Difference of clocks that is forgiven", "5s", { max: 600_000 }),
  scope_claim: text("Claim with the grants: words such as publish:orders.> or admin", "scope", { min: 1 }),
  revoked: list("Ids (jti) of tokens that are refused", requiredText("An id")).prefault([]),
});

const udp = section("Datagrams carry no token: with auth on they are taken by their sender's address", {
  sources: list(
    "Addresses and networks that may send",
    requiredText("An address, or a network such as 10.0.0.0/8"),
  )
    .prefault([]),
  publish: list("Patterns of the topics they may send to", PATTERN).prefault([]),
});

export const authSection = section("Who may do what; what is not granted is refused", {
  enabled: flag("Ask clients for a token or a certificate", false),
  tokens: list({
    description: "Tokens that are known by their hash",
    examples: [[{ name: "billing", sha256: "<from esc token new>", publish: ["orders.>"], read: [">"] }]],
  }, token).prefault([]),
  certificates: list({
    description: "Client certificates that are known by their subject",
    examples: [[{ name: "billing", subject: "CN=billing, O=acme", publish: ["orders.>"] }]],
  }, certificate).prefault([]),
  jwt: jwt.prefault({}),
  udp: udp.prefault({}),
});

export const tlsSection = section("TLS 1.2 and later on TCP, HTTP and gRPC", {
  enabled: flag("Encrypt gRPC, and what the listeners below speak", false),
  cert_file: optionalText("PEM file with the server's certificate and its chain, relative to this file"),
  key_file: optionalText("PEM file with its private key"),
  ca_file: optionalText("PEM file with the authorities that client certificates must come from"),
  client_auth: choice(
    "Client certificates: none asks for none, optional checks one that is shown, require refuses clients without",
    ["none", "optional", "require"],
    "none",
  ),
  tcp: flag("On the TCP listener", true),
  http: flag("On the HTTP listener; optional client certificates are not asked for there", true),
});

export const limitsSection = section("What one client may use", {
  connections_per_address: limit(
    "TCP connections at a time from one address; the same of streams and WebSockets",
    "none",
    1,
    65_535,
  ),
  connects_per_second: limit(
    "New TCP connections a second from one address, after as many at once; the same of streams",
    "none",
    1,
    100_000,
  ),
  events_per_second: limit(
    "Events a second of one identity, or of one TCP connection where auth is off; one second's worth may come at once",
    "none",
    1,
    1_000_000_000,
  ),
  bytes_per_second: optionalSize("The same in bytes of frames", "none", 1024, 2 ** 40),
  login_timeout: duration("Time for the TLS handshake, and for the token where auth is on", "10s", {
    min: 100,
  }),
  subscriber_buffer: size(
    "Answers and events waiting for one slow TCP client before it is cut off",
    "8MiB",
    65_536,
    2 ** 30,
  ),
});
