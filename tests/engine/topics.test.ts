import { afterEach, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { createTopicRegistry, TopicRegistry } from "../../src/dispatch/topic-registry.ts";
import { Logger } from "../../src/logging/logger.ts";
import { TopicCatalogue } from "../../src/engine-topics.ts";
import { TemporaryFolder } from "../support/temp.ts";

const folder = new TemporaryFolder("topics");
const path = folder.path("topics.json");
const LANES = ["realtime", "transactional"];
const opened: TopicCatalogue[] = [];

function open(lanes = LANES): { readonly catalogue: TopicCatalogue; readonly registry: TopicRegistry } {
  const memory = createTopicRegistry({ topicsMax: 8, nameBytesMax: 64 });
  const logger = new Logger({ level: "error", format: "text", write: () => {}, nowMs: () => 0, repeatMs: 0 });
  const catalogue = new TopicCatalogue(path, memory, lanes, logger);
  opened.push(catalogue);
  return { catalogue, registry: new TopicRegistry(memory) };
}

afterEach(() => {
  for (const catalogue of opened.splice(0)) catalogue.close();
});

test("a successor lists the topics of its predecessor with their counts", () => {
  const { catalogue, registry } = open();
  expect(registry.list()).toEqual([]);
  const name = Buffer.from("wärme/1");
  const number = registry.add(name, 0, name.length, 1);
  registry.events[number] = 7;
  registry.receivedUs[number] = 1234;
  catalogue.save();
  const entry = { topic: "wärme/1", events: 7, receivedUs: 1234 };
  expect(open().registry.list()).toEqual([{ ...entry, lane: 1 }]);
  expect(open(["transactional"]).registry.list()).toEqual([{ ...entry, lane: 0 }]);
});

test("a damaged list is begun anew, and one that is too long is cut", () => {
  writeFileSync(path, "{");
  expect(open().registry.list()).toEqual([]);
  const topics = Array.from(
    { length: 20 },
    (_, index) => ({ topic: `t${index}`, lane: "realtime", events: 1 }),
  );
  writeFileSync(path, JSON.stringify({ topics: [{ topic: "" }, ...topics] }));
  expect(open().registry.list().map(({ topic }) => topic)).toEqual(
    topics.slice(0, 8).map(({ topic }) => topic),
  );
});
