import { beforeEach, expect, test } from "bun:test";
import { Logger, type LoggerOptions } from "../../src/logging/logger.ts";

let lines: string[];
let nowMs: number;
beforeEach(() => {
  lines = [];
  nowMs = 0;
});

function logger(options: Partial<LoggerOptions> = {}): Logger {
  const write = (line: string) => void lines.push(line);
  return new Logger({
    level: "debug",
    format: "text",
    write,
    nowMs: () => nowMs,
    repeatMs: 10_000,
    ...options,
  });
}

test("log() writes one line in the form that was chosen, from the level on", () => {
  const text = logger({ level: "warn" });
  text.info("not this");
  text.warn("this", { count: 2, path: "/a b", list: ["x"] });
  const json = logger({ format: "json" });
  json.error("that", { count: 2 });
  expect(lines).toEqual([
    '1970-01-01T00:00:00.000Z WARN  this count=2 path=/a b list=["x"]\n',
    '{"time":"1970-01-01T00:00:00.000Z","level":"error","msg":"that","count":2}\n',
  ]);
});

test("log() lets no text end its line or reach the terminal as a control sequence", () => {
  logger().warn("alert: \n<0>forged\x1b[2J", { topic: "a\r\x9b" });
  expect(lines).toEqual([
    String.raw`1970-01-01T00:00:00.000Z WARN  alert: \n<0>forged\u001b[2J topic=a\r\u009b` + "\n",
  ]);
});

test("the journal gets priorities and no time, a terminal gets colour", () => {
  for (const level of ["debug", "info", "warn", "error"] as const) {
    logger({ sink: "journal" }).log(level, "m");
  }
  logger({ sink: "journal", format: "json" }).error("m");
  logger({ sink: "terminal" }).error("m");
  expect(lines).toEqual([
    "<7>DEBUG m\n",
    "<6>INFO  m\n",
    "<4>WARN  m\n",
    "<3>ERROR m\n",
    '<3>{"time":"1970-01-01T00:00:00.000Z","level":"error","msg":"m"}\n',
    "1970-01-01T00:00:00.000Z \x1b[31mERROR\x1b[0m m\n",
  ]);
});

test("limited() writes as many as the burst, and the next one says how many were held back", () => {
  const log = logger({ sink: "journal" });
  for (let index = 0; index < 5; index++) log.limited("k", "warn", `m${index}`, {}, 2);
  log.limited("other", "warn", "other");
  nowMs = 10_000;
  log.limited("k", "warn", "again", { a: 1 }, 2);
  expect(lines).toEqual([
    "<4>WARN  m0\n",
    "<4>WARN  m1\n",
    "<4>WARN  other\n",
    "<4>WARN  again a=1 suppressed=3\n",
  ]);
});

test("tellSuppressed() tells of messages that have stopped, once, and not of those still held back", () => {
  const log = logger({ sink: "journal" });
  for (let index = 0; index < 3; index++) log.limited("k", "error", "m");
  log.limited("once", "warn", "once");
  lines.length = 0;
  nowMs = 9_999;
  log.tellSuppressed();
  expect(lines).toEqual([]);
  nowMs = 10_000;
  log.tellSuppressed();
  log.tellSuppressed();
  expect(lines).toEqual(["<3>ERROR messages like this one were held back like=m suppressed=2\n"]);
});

test("tellSuppressed() at the end tells of all", () => {
  const log = logger({ sink: "journal" });
  for (let index = 0; index < 3; index++) log.limited("k", "info", "m");
  log.tellSuppressed({ isEnd: true });
  expect(lines.at(-1)).toBe("<6>INFO  messages like this one were held back like=m suppressed=2\n");
});

test("limited() forgets the oldest of more than a thousand keys", () => {
  const log = logger();
  for (let index = 0; index <= 1000; index++) log.limited(`k${index}`, "info", "m");
  log.limited("k1000", "info", "kept quiet");
  log.limited("k0", "info", "was forgotten");
  expect(lines.slice(-1)[0]).toContain("was forgotten");
  expect(lines).toHaveLength(1002);
});
