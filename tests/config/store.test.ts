import { expect, test } from "bun:test";
import { printableConfig } from "../../src/config/print.ts";
import { loadConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";

const source = {
  file: "esc.yaml",
  environment: { PASSWORD: "hunter2" },
  readText: () => "s3cret\n",
};

function problems(text: string): string[] {
  try {
    loadConfig(text, source);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
  }
}

test("nothing is stored by default", () => {
  const { store, cache } = loadConfig("", source).config;
  expect(store.topics).toEqual([]);
  expect(store.backend).toBe("sqlite");
  expect(cache.redis).toBeNull();
});

test("what does not fit together in store and cache is told with its place", () => {
  expect(problems("store:\n  backend: postgres\n  topics: [a.>.b, ok.*]\n")).toEqual([
    `2:12 store.backend postgres needs store.url`,
    `3:12 Pattern "a.>.b" has ">" before its last token`,
  ].sort());
  expect(problems("store:\n  replicas: [postgres://r/x]\n")).toEqual([
    "2:13 store.replicas needs store.backend postgres",
  ]);
  expect(problems("store:\n  backend: postgres\n  url: mysql://u:secret@h/d\n")).toEqual([
    "3:8 store.url must be a URL such as postgres://user@host:5432/database",
  ]);
  expect(problems("cache:\n  redis: http://h\n")).toEqual([
    "2:10 cache.redis must be a URL such as redis://host:6379/0",
  ]);
});

test("a password in a URL is never printed", () => {
  const text =
    "store:\n  backend: postgres\n  url: postgres://esc:hunter2@db/x\ncache:\n  redis: redis://:hunter2@r\n";
  const printed = JSON.stringify(printableConfig(loadConfig(text, source)));
  expect(printed).not.toContain("hunter2");
  expect(printed).toContain("postgres://esc:***@db/x");
  const secret = loadConfig("store:\n  backend: postgres\n  url: postgres://u:${file:PW}@db/x\n", source);
  expect(JSON.stringify(printableConfig(secret))).not.toContain("s3cret");
});
