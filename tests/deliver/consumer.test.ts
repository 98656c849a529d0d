import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import {
  answerConsumerMessage,
  ConsumerLink,
  type ConsumerMessage,
} from "../../src/deliver/consumer-link.ts";
import { ConsumerStore } from "../../src/deliver/consumer.ts";
import { BadRequest } from "../../src/deliver/request.ts";
import { TemporaryFolder } from "../support/temp.ts";

let folder: TemporaryFolder;
let reported: string[];
beforeEach(() => {
  folder = new TemporaryFolder("consumer");
  reported = [];
});
afterEach(() => folder.remove());

let clockUs = 1_000;
const open = () =>
  new ConsumerStore({
    directory: folder.path("consumers"),
    nowUs: () => ++clockUs,
    report: (problem) => void reported.push(problem),
  });

test("confirm() is there for the next server after flush()", () => {
  const store = open();
  expect(store.get("a")).toBeUndefined();
  expect(store.confirm("a", { "rt/0": 5, "tx/1": 7 })).toBeUndefined();
  store.flush();
  const again = open();
  expect(again.list().map(({ name, offsets }) => ({ name, offsets }))).toEqual([
    { name: "a", offsets: { "rt/0": 5, "tx/1": 7 } },
  ]);
  expect(again.get("a")?.updatedUs).toBe(store.get("a")?.updatedUs as number);
  expect(readdirSync(folder.path("consumers"))).toEqual(["a.json"]);
});

test("confirm() never moves a consumer back", () => {
  const store = open();
  store.confirm("a", { "rt/0": 5 });
  store.confirm("a", { "rt/0": 3, "tx/0": 1 });
  expect(store.get("a")?.offsets).toEqual({ "rt/0": 5, "tx/0": 1 });
  store.flush();
});

test("confirm() writes by itself, many confirmations as one file", async () => {
  const store = open();
  for (let offset = 1; offset <= 1000; offset++) store.confirm("busy", { "rt/0": offset });
  const path = folder.path("consumers", "busy.json");
  expect(existsSync(path)).toBe(false);
  while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({
    consumer: "busy",
    offsets: { "rt/0": 1000 },
  });
});

test("names that are no file names are refused", () => {
  const store = open();
  for (const name of ["", ".", "..", "a/b", "a\\b", "\0", ".hidden", "a".repeat(65), "ä", "a b"]) {
    expect(store.confirm(name, { "rt/0": 1 }), name).toBeInstanceOf(BadRequest);
  }
  for (const name of ["a", "A-1_b.c", "a".repeat(64)]) expect(store.confirm(name, {})).toBeUndefined();
  store.flush();
});

test("delete() forgets a consumer for good", () => {
  const store = open();
  store.confirm("a", { "rt/0": 5 });
  store.flush();
  expect(store.delete("a")).toBe(true);
  expect(store.delete("a")).toBe(false);
  expect(open().list()).toEqual([]);
});

test("a damaged file is reported and starts anew; the others are read", () => {
  const store = open();
  store.confirm("good", { "rt/0": 1 });
  store.confirm("bad", { "rt/0": 1 });
  store.flush();
  writeFileSync(folder.path("consumers", "bad.json"), '{"offsets": {"rt/0": -1}}');
  writeFileSync(folder.path("consumers", "half.json.new"), "{");
  expect(open().list().map(({ name }) => name)).toEqual(["good"]);
  expect(reported).toEqual(['Cannot read consumer "bad"; it starts anew']);
});

test("what cannot be written is reported, kept, and written with the next flush", () => {
  const store = open();
  rmSync(folder.path("consumers"), { recursive: true });
  store.confirm("a", { "rt/0": 1 });
  store.flush();
  expect(reported).toEqual(['Cannot store the position of consumer "a"']);
  mkdirSync(folder.path("consumers"));
  store.flush();
  expect(open().get("a")?.offsets).toEqual({ "rt/0": 1 });
});

test("a worker's link asks and confirms by message, gathered", async () => {
  const store = open();
  store.confirm("a", { "rt/0": 2 });
  const posted: ConsumerMessage[] = [];
  const link = new ConsumerLink((message) => {
    // As it arrives on another thread.
    const copy = structuredClone(message);
    posted.push(copy);
    answerConsumerMessage(store, copy, (reply) => link.receive(structuredClone(reply)));
  });
  expect(await link.position("a")).toEqual({ "rt/0": 2 });
  expect(await link.position("new")).toBe(null);
  for (let offset = 3; offset <= 100; offset++) link.confirm("a", { "rt/0": offset });
  link.confirm("b", { "tx/0": 1 });
  // What was confirmed before comes before the question.
  expect(await link.position("a")).toEqual({ "rt/0": 100 });
  expect(posted.map((message) => message.kind)).toEqual([
    "consumer_open",
    "consumer_open",
    "consumer_confirm",
    "consumer_open",
  ]);
  expect(store.get("b")?.offsets).toEqual({ "tx/0": 1 });
  store.flush();
});
