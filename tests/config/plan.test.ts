import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { planReload, printableNext } from "../../src/config/plan.ts";
import { keyReference } from "../../src/config/reference.ts";
import { printableConfig } from "../../src/config/print.ts";
import { Certificates } from "../e2e/certificates.ts";
import { configOf, load, sourceOf } from "./loading.ts";

test("planReload() finds nothing between equal configurations", () => {
  const { live, restart } = planReload(configOf(""), configOf("http: {port: 8080}\n"));
  expect({ live, restart }).toEqual({ live: [], restart: [] });
});

test("planReload() parts what can change at once from what needs a restart", () => {
  const running = configOf("topics: {a.b: HIGH, gone: LOW}\n");
  const wanted = configOf(`
topics: {a.b: CRITICAL, new: batch}
logging: {level: debug, format: json}
dedup: {window: 2h, max_ids: 2000}
control: {health_check_interval_sec: 5}
lanes: {batch: {retention: {max_age: 1d}, shards: 2}}
http: {port: 8081}
`);
  const { live, restart } = planReload(running, wanted);
  expect({ live, restart }).toEqual({
    live: [
      { key: "topics.a.b.priority", from: "HIGH", to: "CRITICAL" },
      { key: "topics.gone.priority", from: "LOW", to: undefined },
      { key: "lanes.batch.retention.max_age", from: "7d", to: "1d" },
      { key: "dedup.window", from: "1h", to: "2h" },
      { key: "control.health_check_interval_sec", from: "10s", to: "5s" },
      { key: "logging.level", from: "info", to: "debug" },
      { key: "topics.new.lane", from: undefined, to: "batch" },
    ],
    restart: [
      { key: "http.port", from: 8080, to: 8081 },
      { key: "lanes.batch.shards", from: 1, to: 2 },
      { key: "dedup.max_ids", from: 1_000_000, to: 2000 },
      { key: "logging.format", from: "text", to: "json" },
    ],
  });
});

test("planReload() sees a changed topics file", () => {
  const text = "topics_file: t\n";
  const before = configOf(text, sourceOf({ files: { t: "a:LOW" } }));
  const after = configOf(text, sourceOf({ files: { t: "a:HIGH" } }));
  const { live, restart } = planReload(before, after);
  expect({ live, restart }).toEqual({
    live: [{ key: "topics.a.priority", from: "LOW", to: "HIGH" }],
    restart: [],
  });
});

test("planReload() reports a lane that comes or goes as a restart", () => {
  const keys = planReload(configOf(""), configOf("lanes: {audit: {topics: [x]}}")).restart.map(({ key }) =>
    key
  );
  expect(keys).toContain("lanes.audit.durability");
});

const HASH = ["a", "b"].map((digit) => digit.repeat(64));
const token = (fields: string) => `auth: {enabled: true, tokens: [{name: n, sha256: ${HASH[0]}, ${fields}}]}`;
const mutual = (fields: string) =>
  `tls: {enabled: true, cert_file: c, key_file: k, ca_file: d, client_auth: optional}
auth: {enabled: true, tokens: [{name: t, sha256: ${HASH[0]}, admin: true}], ${fields}}`;
const certificate = (fields: string) => mutual(`certificates: [{name: n, ${fields}}]`);
const jwt = (fields: string) => `auth: {enabled: true, jwt: {${fields}}}`;
const secret = "0123456789012345678901234567890123456789";
const jwks = (fields: string) => jwt(`jwks_url: "https://a.example/keys", ${fields}`);
const tls = (fields: string) => `tls: {enabled: true, cert_file: c, key_file: k, ${fields}}`;
const control = (fields: string) => `control: {${fields}}`;
const grants = (of: (fields: string) => string, before = "") =>
  ["publish", "subscribe", "read"].map((
    right,
  ) => [of(`${before}${right}: [a]`), of(`${before}${right}: [b]`)]);

/** A file, the same with another value, and the key that changes at once; in the order of docs/configuration.md. */
const CHANGES: Readonly<Record<string, readonly (readonly string[])[]>> = {
  "topics_file": [["", "topics_file: rules"]],
  "topics": [["topics: {a: LOW}", "topics: {b: LOW}"]],
  "topics.<name>": [["topics: {a: LOW}", "topics: {a: batch}"]],
  "topics.<name>.priority": [["topics: {a: LOW}", "topics: {a: HIGH}"]],
  "topics.<name>.lane": [["topics: {a: batch}", "topics: {a: realtime}"]],
  "lanes.<name>.topics": [["", "lanes: {batch: {topics: [a]}}"]],
  "lanes.<name>.retention.max_age": [["", "lanes: {batch: {retention: {max_age: 1d}}}"]],
  "lanes.<name>.retention.max_bytes": [["", "lanes: {batch: {retention: {max_bytes: 1GiB}}}"]],
  "dedup.window": [["", "dedup: {window: 2h}"]],
  "auth.tokens": [[
    jwks(""),
    `${jwks("").slice(0, -1)}, tokens: [{name: n, sha256: ${HASH[0]}, admin: true}]}`,
  ]],
  "auth.tokens[].name": [[token("admin: true"), token("admin: true").replace("name: n", "name: m")]],
  "auth.tokens[].sha256": [[
    token("admin: true"),
    token("admin: true").replace(HASH[0] ?? "", HASH[1] ?? ""),
  ]],
  "auth.tokens[].expires": [[token("admin: true"), token("admin: true, expires: 2030-01-01")]],
  "auth.tokens[].publish": [grants(token)[0] ?? []],
  "auth.tokens[].subscribe": [grants(token)[1] ?? []],
  "auth.tokens[].read": [grants(token)[2] ?? []],
  "auth.tokens[].admin": [[token("read: [a]"), token("read: [a], admin: true")]],
  "auth.certificates": [[mutual(""), mutual("certificates: [{name: n, subject: CN=a, admin: true}]")]],
  "auth.certificates[].name": [[
    certificate("subject: CN=a, admin: true"),
    certificate("subject: CN=a, admin: true").replace("name: n", "name: m"),
  ]],
  "auth.certificates[].subject": [[
    certificate("subject: CN=a, admin: true"),
    certificate("subject: CN=b, admin: true"),
  ]],
  "auth.certificates[].publish": [grants(certificate, "subject: CN=a, ")[0] ?? []],
  "auth.certificates[].subscribe": [grants(certificate, "subject: CN=a, ")[1] ?? []],
  "auth.certificates[].read": [grants(certificate, "subject: CN=a, ")[2] ?? []],
  "auth.certificates[].admin": [[
    certificate("subject: CN=a, read: [a]"),
    certificate("subject: CN=a, read: [a], admin: true"),
  ]],
  "auth.jwt.secret": [[jwt(`secret: "${secret}"`), jwt(`secret: "other${secret}"`)]],
  "auth.jwt.jwks_file": [[jwt("jwks_file: keys"), jwt("jwks_file: other")]],
  "auth.jwt.jwks_url": [[jwks(""), jwks("").replace("a.example", "b.example")]],
  "auth.jwt.issuer": [[jwks(""), jwks("issuer: i")]],
  "auth.jwt.audience": [[jwks(""), jwks("audience: i")]],
  "auth.jwt.algorithms": [[jwks(""), jwks("algorithms: [RS256]")]],
  "auth.jwt.clock_tolerance": [[jwks(""), jwks("clock_tolerance: 6s")]],
  "auth.jwt.scope_claim": [[jwks(""), jwks("scope_claim: grants")]],
  "auth.jwt.revoked": [[jwks(""), jwks("revoked: [a]")]],
  "auth.udp.sources": [[jwks(""), `${jwks("").slice(0, -1)}, udp: {sources: [127.0.0.1]}}`]],
  "auth.udp.publish": [[jwks(""), `${jwks("").slice(0, -1)}, udp: {publish: [a]}}`]],
  "tls.cert_file": [[tls(""), tls("").replace("cert_file: c", "cert_file: d")]],
  "tls.key_file": [[tls(""), tls("").replace("key_file: k", "key_file: l")]],
  "tls.ca_file": [[tls(""), tls("ca_file: d")]],
  "control.health_check_interval_sec": [["", control("health_check_interval_sec: 5")]],
  "control.thresholds.max_queue_depth": [["", control("thresholds: {max_queue_depth: 5}")]],
  "control.thresholds.max_drop_rate": [["", control("thresholds: {max_drop_rate: 5}")]],
  "control.thresholds.max_latency_ms": [["", control("thresholds: {max_latency_ms: 5}")]],
  "control.thresholds.min_events_for_evaluation": [[
    "",
    control("thresholds: {min_events_for_evaluation: 5}"),
  ]],
  "control.thresholds.recovery_factor": [["", control("thresholds: {recovery_factor: 0.5}")]],
  "control.sla.max_latency": [["", control("sla: {max_latency: 7ms}")]],
  "control.sla.cooldown": [["", control("sla: {cooldown: 5s}")]],
  "control.policies.auto_resume": [["", control("policies: {auto_resume: false}")]],
  "control.policies.max_unhealthy_cycles": [["", control("policies: {max_unhealthy_cycles: 7}")]],
  "control.policies.verbose_logging": [["", control("policies: {verbose_logging: true}")]],
  "logging.level": [["", "logging: {level: debug}"]],
};

const KEYS = '{"keys": [{"kty": "oct", "k": "AAAA"}]}';

test("every key that docs/configuration.md calls live, and no other, is taken over by a running server", () => {
  const names = keyReference().filter((key) => key.isLive && key.hasEffect).map(({ path }) =>
    path.join(".").replaceAll(".[]", "[]").replace(
      /^lanes[.](realtime|transactional|batch)[.]/,
      "lanes.<name>.",
    )
  );
  const isSection = (name: string) => names.some((other) => other.startsWith(`${name}.`));
  const keys = [...new Set(names)].filter((name) => name in CHANGES || !isSection(name));
  expect(Object.keys(CHANGES).toSorted()).toEqual(keys.toSorted());
  const certificates = new Certificates();
  certificates.issue("server", "/CN=server");
  const [pem, key] = ["pem", "key"].map((end) => readFileSync(certificates.path(`server.${end}`), "utf8"));
  const files: Record<string, string> = {
    rules: "a:LOW",
    c: pem ?? "",
    d: pem ?? "",
    k: key ?? "",
    l: key ?? "",
    keys: KEYS,
    other: KEYS,
  };
  certificates.folder.remove();
  for (const [key, pairs] of Object.entries(CHANGES)) {
    for (const [before = "", after = ""] of pairs) {
      const running = configOf(before, sourceOf({ files }));
      const wanted = configOf(after, sourceOf({ files }));
      const plan = planReload(running, wanted);
      expect({ key, restart: plan.restart, changes: plan.live.length > 0 }).toEqual({
        key,
        restart: [],
        changes: true,
      });
      // Nothing is left to do, and what runs then is what a start with that file would give.
      expect(plan.next).toEqual(wanted);
    }
  }
});

test("planReload() keeps a rule for a lane that only the next start has, and its priority is taken over", () => {
  const wanted = configOf(
    "lanes: {audit: {priorities: [CRITICAL]}}\ntopics: {a: audit, b: {lane: audit, priority: HIGH}}\n",
  );
  const { next, restart } = planReload(configOf(""), wanted);
  expect(next.lanes).toEqual(configOf("").lanes);
  expect(next.topics).toEqual([{ pattern: "b", priority: 3, lane: null, source: "config" }]);
  const keys = restart.map(({ key }) => key);
  expect(keys).toContain("topics.a.lane");
  expect(keys).toContain("topics.b.lane");
  expect(keys).toContain("lanes.realtime.priorities");
  expect(keys).toContain("lanes.audit.shards");
  // What waits is told with every reload until it is so.
  expect(planReload(next, wanted).restart.map(({ key }) => key)).toEqual(keys);
});

test("printableNext() shows what runs, and no secret", () => {
  const files = sourceOf({ files: { secret, other: `other${secret}` } });
  const before = load(jwt('secret: "${file:secret}"'), files);
  const after = load(`${jwt('secret: "${file:other}"')}\nhttp: {port: 8081}\n`, files);
  const { next } = planReload(before.config, after.config);
  const shown = printableNext(next, { printable: printableConfig(before) }, {
    config: after.config,
    printable: printableConfig(after),
  });
  expect(shown).toMatchObject({ auth: { jwt: { secret: "${file:other}" } }, http: { port: 8080 } });
});
