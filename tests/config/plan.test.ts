import { expect, test } from "bun:test";
import { planReload } from "../../src/config/plan.ts";
import { configOf, sourceOf } from "./loading.ts";

test("planReload() finds nothing between equal configurations", () => {
  expect(planReload(configOf(""), configOf("http: {port: 8080}\n"))).toEqual({ live: [], restart: [] });
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
  expect(planReload(running, wanted)).toEqual({
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
  expect(planReload(before, after)).toEqual({
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
