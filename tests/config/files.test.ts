import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { configJsonSchema, type JsonSchema } from "../../src/config/json-schema.ts";
import { loadConfigFile } from "../../src/config/load.ts";
import { keyReference } from "../../src/config/reference.ts";
import { configTemplate } from "../../src/config/template.ts";
import { parseTopicsFile } from "../../src/config/topics-file.ts";
import { configurationPage } from "../../scripts/docs-config.ts";
import { configOf, load } from "./loading.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const read = (path: string) => readFileSync(ROOT + path, "utf8");

test("every YAML file under config/ loads", () => {
  const files = readdirSync(`${ROOT}config`, { recursive: true, encoding: "utf8" })
    // Scenarios are of `esc stress`: tests/cli/scenario.test.ts.
    .filter((path) => path.endsWith(".yaml") && !path.startsWith("scenarios/")).sort();
  expect(files).toEqual([
    "config.yaml",
    "examples/crypto.yaml",
    "examples/ecommerce.yaml",
    "examples/forex.yaml",
    "examples/gaming.yaml",
    "examples/handlers.yaml",
    "examples/hft.yaml",
    "examples/iot.yaml",
    "examples/lanes.yaml",
    "examples/low-bandwidth.yaml",
    "examples/low-cpu.yaml",
    "examples/market.yaml",
    "examples/original.yaml",
    "examples/rules.yaml",
    "examples/windows.yaml",
  ]);
  for (const path of files) {
    expect(loadConfigFile(`${ROOT}config/${path}`, {}).config.lanes.length).toBeGreaterThan(2);
  }
});

test("config/config.yaml has every key, and loading it equals loading an empty file", () => {
  const text = read("config/config.yaml");
  expect(text).toBe(configTemplate());
  expect(load(text).config).toEqual(configOf(""));
  expect(load(text).notices).toEqual([]);
  for (const { path } of keyReference()) {
    if (!path.includes("<name>") && !path.includes("[]")) {
      expect(text).toMatch(new RegExp(`^ *(# )?${path.at(-1)}:`, "m"));
    }
  }
});

test("docs/configuration.md is current: run scripts/docs-config.ts after a change of the schema", () => {
  expect(read("docs/configuration.md")).toBe(configurationPage());
});

test("the original engine's file loads, and what has no effect is named", () => {
  const { config, notices } = loadConfigFile(`${ROOT}config/examples/original.yaml`, {});
  expect(notices.map(({ message }) => message.replace(" is accepted and has no effect in this version", "")))
    .toEqual([
      "description",
      "author",
      "logging.pattern",
      "router.buffer_size",
      "rule_engine",
      "python_integration",
      "broadcast",
      "plugins",
    ]);
  expect(config.ingestion.tcp.maxConnections).toBe(1000);
  expect(config.lanes.map((lane) => lane.shards)).toEqual([1, 4, 1]);
  expect(config.logging.level).toBe("info");
  expect(config.numa.transactionalProcNode).toBe(1);
  expect(config.original.plugins.load).toEqual(["plugins/plugins.so"]);
});

test("the keys that the specification lists for the original engine load as it spells them", () => {
  const config = configOf(`
app_name: "EventStreamCore"
version: "1.0.0"
ingestion:
  tcp: { enable: true, port: 9000, maxConnections: 10 }
  udp: { enable: true, port: 9001, bufferSize: 65536 }
router: { shards: 4, strategy: "priority", buffer_size: 16384 }
numa: { enable: true, dispatcher_node: 0, realtime_proc_node: 0, transactional_proc_node: 1 }
`);
  expect([config.ingestion.tcp.maxConnections, config.router.strategy, config.numa.enable]).toEqual([
    10,
    "priority",
    true,
  ]);
});

test("config/examples/topics.conf has 22 topics and no line that is skipped", () => {
  const { topics, skipped } = parseTopicsFile(read("config/examples/topics.conf"));
  expect([topics.length, skipped]).toEqual([22, []]);
  expect(topics.find(({ pattern }) => pattern === "sensor/1")?.priority).toBe(4);
});

test("the JSON Schema describes every key and gives its default in its own type", () => {
  const schema = configJsonSchema();
  expect(schema.$schema).toBe("https://json-schema.org/draft/2020-12/schema");
  expect(JSON.stringify(schema)).not.toContain("shownDefault");
  expect(JSON.stringify(schema).match(/"\$schema"/g)).toHaveLength(1);
  const visit = (node: JsonSchema, path: string): void => {
    for (const [key, inner] of Object.entries(node.properties ?? {})) {
      expect([`${path}.${key}`, (inner.description ?? "").length > 2]).toEqual([`${path}.${key}`, true]);
      visit(inner, `${path}.${key}`);
    }
    if (node.properties !== undefined && path !== ".lanes") {
      expect([path, node.additionalProperties]).toEqual([path, false]);
    }
  };
  visit(schema, "");
  const tcp = schema.properties?.["ingestion"]?.properties?.["tcp"]?.properties;
  expect(tcp?.["port"]).toEqual({
    description: "TCP port, 0 for any free one",
    default: 9000,
    anyOf: [{ type: "integer", minimum: 0, maximum: 65535 }, { type: "string", pattern: "\\$\\{" }],
  });
  expect(tcp?.["enable"]?.default).toBe(true);
});
