import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { stringify } from "yaml";
import { printConfig } from "../../src/config/print.ts";
import { configOf, load, sourceOf } from "./loading.ts";

const source = sourceOf({ files: { "topics.conf": "a:HIGH\nsensor/1:CRITICAL\n", "pw": "s3cret\n" } });

const duration = fc.oneof(
  fc.tuple(fc.integer({ min: 1, max: 50 }), fc.constantFrom("s", "m", "h", "d")).map(([n, unit]) =>
    `${n}${unit}`
  ),
  fc.integer({ min: 1000, max: 60_000 }).map((ms) => `${ms}ms`),
);
const size = fc.tuple(fc.integer({ min: 8, max: 64 }), fc.constantFrom("MiB", "MB")).map((parts) =>
  parts.join("")
);
const orNone = (values: fc.Arbitrary<string>) => fc.oneof(values, fc.constant("none"));
/** Words that YAML 1.1, YAML 1.2 or the loader could mistake for something else are among them. */
const word = fc.oneof(
  fc.constantFrom(
    "null",
    "~",
    "true",
    "no",
    "1.0",
    "0x1f",
    "1e3",
    "- a",
    "a: b",
    "#c",
    "$${X}",
    "é☃",
    "'",
    '"',
  ),
  fc.stringMatching(/^[a-z][a-z0-9 .:_-]{0,11}[a-z0-9]$/),
).filter((text) => !["none"].includes(text));

const lane = fc.record({
  shards: fc.integer({ min: 1, max: 4 }),
  queue_bytes: size,
  overflow: fc.constantFrom("block", "drop_old", "drop_new"),
  durability: fc.constantFrom("fsync", "interval", "none"),
  sync_interval: fc.integer({ min: 1, max: 60_000 }).map((ms) => `${ms}ms`),
  retention: fc.record({ max_age: orNone(duration), max_bytes: orNone(size) }, { requiredKeys: [] }),
  wait: fc.constantFrom("block", "yield", "spin"),
}, { requiredKeys: [] });

const file = fc.record({
  app_name: word,
  version: word,
  description: word,
  insecure: fc.boolean(),
  shutdown_timeout: fc.integer({ min: 100, max: 3_600_000 }).map((ms) => `${ms}ms`),
  data: fc.record({ dir: word }),
  http: fc.record({ port: fc.integer({ min: 20_000, max: 65_535 }) }),
  ingestion: fc.record({
    workers: fc.integer({ min: 1, max: 64 }),
    tcp: fc.record({ enable: fc.boolean(), idle_timeout: orNone(duration) }, { requiredKeys: [] }),
    udp: fc.record({ enable: fc.boolean(), bufferSize: size, receive_buffer: orNone(size) }, {
      requiredKeys: [],
    }),
    file: fc.uniqueArray(
      fc.record({
        path: word,
        priority: fc.constantFrom("BATCH", "low", 4),
        poll_interval_ms: fc.integer({ min: 1, max: 9999 }),
      }),
      { selector: ({ path }) => path, maxLength: 3 },
    ),
  }, { requiredKeys: [] }),
  router: fc.record({ shards: fc.integer({ min: 1, max: 9 }) }),
  lanes: fc.record({ realtime: lane, transactional: lane, batch: lane, audit: lane }, { requiredKeys: [] }),
  topics: fc.dictionary(
    fc.stringMatching(/^[a-z*]([./][a-z*]){0,3}$/),
    fc.oneof(
      fc.constantFrom("HIGH", "low", 0, "realtime"),
      fc.constant({ priority: "HIGH", lane: "transactional" }),
    ),
    { maxKeys: 5 },
  ),
  topics_file: fc.constantFrom("none", "topics.conf"),
  dedup: fc.record({ window: duration, max_ids: fc.integer({ min: 1000, max: 50_000_000 }) }, {
    requiredKeys: [],
  }),
  log: fc.record({ max_total_bytes: orNone(size), min_free: size }, { requiredKeys: [] }),
  logging: fc.record({ level: fc.constantFrom("DEBUG", "info", "warning", "critical"), pattern: word }),
  plugins: fc.record({ load: fc.array(word, { maxLength: 3 }) }),
}, { requiredKeys: [] });

test("what printConfig() writes loads as the same configuration", () => {
  fc.assert(
    fc.property(file, (content) => {
      const loaded = load(stringify(content), source);
      const again = load(printConfig(loaded), source);
      expect(again.config).toEqual(loaded.config);
      expect(printConfig(again)).toBe(printConfig(loaded));
    }),
    { numRuns: 200 },
  );
}, 20_000);

test("printConfig() shows the expression of a secret, never its content", () => {
  const text =
    'data:\n  dir: "${file:pw}"\ningestion:\n  file: {path: "/x/${file:pw}", enable: true, name: n, topic: t}\n' +
    "plugins:\n  load: [a, '${file:pw}']\n";
  const loaded = load(text, source);
  expect(loaded.config.data.dir).toBe("s3cret");
  const printed = printConfig(loaded);
  expect(printed).not.toContain("s3cret");
  expect(printed.match(/\$\{file:pw\}/g)).toHaveLength(3);
  expect(configOf(printed, source)).toEqual(loaded.config);
});
