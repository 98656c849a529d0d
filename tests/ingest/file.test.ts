import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  appendFileSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeFrame } from "../../src/event/decode.ts";
import { LISTENERS, REJECT_REASONS } from "../../src/event/frame.ts";
import { SOURCE_REJECTED } from "../../src/metrics/layout.ts";
import { STATUS_FAILED } from "../../src/queue/completions.ts";
import { FileSource } from "../../src/ingest/file.ts";
import type { FileSourceOptions } from "../../src/ingest/file.ts";
import { EngineEnd } from "./engine-end.ts";
import { until } from "./tcp-rig.ts";

let folder = "";
const open: { close(): void }[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "esc-file-"));
});

afterEach(() => {
  for (const part of open.splice(0)) part.close();
  rmSync(folder, { recursive: true });
});

interface Tail {
  engine: EngineEnd;
  problems: string[];
  /** As if the process were killed: nothing is written any more. */
  kill(): void;
  close(): void;
  lines(): string[];
  ids(): (string | undefined)[];
  answers: boolean;
}

function tail(options: Partial<FileSourceOptions> = {}, maxFrameBytes = 4096): Tail {
  const engine = new EngineEnd();
  const source = engine.openSource();
  const problems: string[] = [];
  const file = new FileSource(
    {
      name: "log",
      path: join(folder, "a.log"),
      topic: "file.a",
      priority: 1,
      pollIntervalMs: 10,
      ...options,
    },
    {
      source,
      checkpointsDirectory: join(folder, "checkpoints"),
      maxFrameBytes,
      nowUs: () => Date.now() * 1000,
      wake: () => {},
      onProblem: (message) => problems.push(message),
    },
  );
  const timer = setInterval(() => {
    engine.take({ answers: self.answers });
    source.poll();
    file.turn();
  }, 1);
  const events = () => engine.frameList().map((frame) => decodeFrame(frame, 0));
  const self: Tail = {
    engine,
    problems,
    answers: true,
    kill: () => {
      clearInterval(timer);
      file.stop();
    },
    close: () => {
      clearInterval(timer);
      file.close();
    },
    lines: () => events().map((event) => Buffer.from(event.payload).toString("latin1")),
    ids: () => events().map((event) => event.id),
  };
  open.push(self);
  return self;
}

const path = () => join(folder, "a.log");

test("lines become events byte for byte: CR stays, empty lines are empty payloads, a part waits", async () => {
  writeFileSync(path(), Buffer.from("one\r\n\n\xff\x00two\nthr", "latin1"));
  const file = tail();
  await until(() => file.lines().length === 3);
  expect(file.lines()).toEqual(["one\r", "", "\xff\x00two"]);
  appendFileSync(path(), "ee\n");
  await until(() => file.lines().length === 4);
  expect(file.lines()[3]).toBe("three");
  const [first] = file.engine.frameList().map((frame) => decodeFrame(frame, 0));
  expect(first).toMatchObject({ topic: "file.a", priority: 1 });
  expect(first?.id).toMatch(/^f:[0-9a-f]{8}:[0-9a-f]+:1:000000000000$/);
  expect(file.engine.runs[0]).toMatchObject({ listener: LISTENERS.indexOf("file"), acks: 2, hasIds: true });
});

test("a large file comes whole, in order, in runs", async () => {
  const expected = Array.from({ length: 20_000 }, (_, index) => `line ${index} ${"x".repeat(index % 300)}`);
  writeFileSync(path(), expected.join("\n") + "\n");
  const file = tail();
  await until(() => file.engine.eventCount === expected.length);
  expect(file.lines()).toEqual(expected);
  expect(new Set(file.ids()).size).toBe(expected.length);
});

test("a line that fits no frame is refused, counted and stepped over, however long", async () => {
  writeFileSync(path(), "");
  const file = tail({}, 4096);
  const longest = 4096 + 4 - overheadOf("file.a");
  writeFileSync(
    path(),
    ["a", "y".repeat(longest), "z".repeat(longest + 1), "w".repeat(1_000_000), "b", ""].join("\n"),
  );
  await until(() => file.lines().length === 3);
  expect(file.lines().map((line) => line.slice(0, 1))).toEqual(["a", "y", "b"]);
  expect(file.engine.counter(SOURCE_REJECTED + REJECT_REASONS.indexOf("bad_length"))).toBe(2);
});

/** Frame bytes of a line besides the line. */
function overheadOf(topic: string): number {
  const id = `f:${"0".repeat(8)}:${statSync(path()).ino.toString(16)}:1:${"0".repeat(12)}`;
  return 4 + 1 + 2 + topic.length + 2 + 3 + id.length;
}

test("rotation: the old file is finished first, its last part included, then the new one is read", async () => {
  writeFileSync(path(), "old 1\n");
  const file = tail();
  await until(() => file.lines().length === 1);
  appendFileSync(path(), "old 2\nold 3 without end");
  renameSync(path(), join(folder, "a.log.1"));
  writeFileSync(path(), "new 1\n");
  await until(() => file.lines().length === 4);
  expect(file.lines()).toEqual(["old 1", "old 2", "old 3 without end", "new 1"]);
  expect(new Set(file.ids()).size).toBe(4);
});

test("truncation: the file is read from its start, with new ids", async () => {
  writeFileSync(path(), "first\nsecond\n");
  const file = tail();
  await until(() => file.lines().length === 2);
  truncateSync(path());
  appendFileSync(path(), "third\n");
  await until(() => file.lines().length === 3);
  expect(file.lines()[2]).toBe("third");
  expect(new Set(file.ids()).size).toBe(3);
});

test("a file written anew and longer than before is recognised by its first bytes", async () => {
  writeFileSync(path(), "first\n");
  const file = tail();
  await until(() => file.lines().length === 1);
  writeFileSync(path(), "other first\nother second\n");
  await until(() => file.lines().length === 3);
  expect(file.lines()).toEqual(["first", "other first", "other second"]);
});

test("a file that does not exist yet is waited for and read whole", async () => {
  const file = tail({ fromStart: false });
  writeFileSync(path(), "late\n");
  await until(() => file.lines().length === 1);
  expect(file.problems).toEqual([]);
});

test("after a kill, lines not known to be durable are offered again with the same ids", async () => {
  writeFileSync(path(), "1\n2\n");
  const first = tail();
  await until(() => first.lines().length === 2);
  first.answers = false;
  appendFileSync(path(), "3\n4\n");
  await until(() => first.lines().length === 4);
  first.kill();
  const second = tail();
  await until(() => second.lines().length >= 2 && second.lines().includes("4"));
  const ids = new Map(first.ids().map((id, index) => [id, first.lines()[index]]));
  second.ids().forEach((id, index) => expect(ids.get(id)).toBe(second.lines()[index] ?? ""));
});

test("after a clean close reading goes on behind what was durable, in a file renamed meanwhile too", async () => {
  writeFileSync(path(), "1\n2\n");
  const first = tail();
  await until(() => first.lines().length === 2);
  first.close();
  appendFileSync(path(), "3\n");
  renameSync(path(), join(folder, "a.log.1"));
  writeFileSync(path(), "4\n");
  const second = tail();
  await until(() => second.lines().length === 2);
  expect(second.lines()).toEqual(["3", "4"]);
});

test("events the log could not take are read and offered again", async () => {
  const file = tail();
  file.answers = false;
  writeFileSync(path(), "1\n2\n");
  await until(() => file.engine.eventCount === 2);
  for (const run of file.engine.runs) file.engine.answer(run, STATUS_FAILED);
  file.answers = true;
  await until(() => file.engine.eventCount === 4);
  expect(file.lines()).toEqual(["1", "2", "1", "2"]);
  expect(new Set(file.ids()).size).toBe(2);
});
