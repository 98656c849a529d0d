import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { EscError } from "../../src/errors.ts";
import { QueryThread } from "../../src/store/query-thread.ts";
import { workerUrl } from "../../src/threads.ts";
import { TemporaryFolder } from "../support/temp.ts";

/** SQLite works on it for some seconds. */
const LONG =
  "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 20000000) SELECT max(x) FROM n";

let folder: TemporaryFolder;
let thread: QueryThread | undefined;
beforeEach(() => {
  folder = new TemporaryFolder("query-thread");
});
afterEach(async () => {
  await thread?.close();
  folder.remove();
});

function open(deadlineMs: number): QueryThread {
  return thread = new QueryThread({
    path: folder.path("x.db"),
    url: workerUrl("src/store/query-worker.ts"),
    deadlineMs,
  });
}

function makeDatabase(): void {
  using database = new Database(folder.path("x.db"), { create: true });
  database.run("CREATE TABLE t (x)");
  database.run("INSERT INTO t VALUES (1), (2), (3)");
}

const problemOf = (work: Promise<unknown>) =>
  work.then(() => "none", (error: unknown) => error instanceof EscError ? error.code : String(error));

test("a question that misses its deadline fails by name, the caller's thread goes on, and so do later questions", async () => {
  makeDatabase();
  const asked = open(300);
  let turns = 0;
  const ticking = setInterval(() => turns++, 5);
  expect(await problemOf(asked.select(LONG, 1))).toBe("TIMEOUT");
  clearInterval(ticking);
  expect(turns).toBeGreaterThan(5);
  expect((await asked.select("SELECT sum(x) AS s FROM t", 1)).rows).toEqual([[6]]);
  expect([asked.meter.count, asked.meter.errors]).toEqual([2, 1]);
});

test("questions behind a late one are asked again, and answered", async () => {
  makeDatabase();
  const asked = open(2000);
  const late = problemOf(asked.select(LONG.replace("20000000", "60000000"), 1));
  await Bun.sleep(1200);
  const behind = Array.from({ length: 20 }, (_, x) => asked.select(`SELECT ${x} AS x`, 1));
  expect(await late).toBe("TIMEOUT");
  expect((await Promise.all(behind)).map(({ rows }) => rows[0]?.[0])).toEqual(
    Array.from({ length: 20 }, (_, x) => x),
  );
});

test("while too many late questions still run, others are refused", async () => {
  makeDatabase();
  const asked = open(100);
  const codes: string[] = [];
  while (codes.length < 20 && codes.at(-1) !== "STORE_UNAVAILABLE") {
    codes.push(await problemOf(asked.select(LONG, 1)));
  }
  expect(codes.at(-1)).toBe("STORE_UNAVAILABLE");
  expect(codes.length).toBeGreaterThan(4);
});

test("a file that is not there yet is an answer, and is found when it is there", async () => {
  const asked = open(5000);
  expect(await problemOf(asked.select("SELECT x FROM t", 1))).toBe("STORE_UNAVAILABLE");
  makeDatabase();
  expect((await asked.select("SELECT x FROM t", 2)).rows).toEqual([[1], [2]]);
});

test("the database refuses to write", async () => {
  makeDatabase();
  expect(await problemOf(open(5000).select("DELETE FROM t RETURNING x", 1))).toBe("USAGE");
});

test("close() answers whoever still waits", async () => {
  makeDatabase();
  const asked = open(10_000);
  const waiting = problemOf(asked.select(LONG, 1));
  await asked.close();
  expect(await waiting).toBe("SHUTTING_DOWN");
  expect(await problemOf(asked.select("SELECT 1", 1))).toBe("SHUTTING_DOWN");
});
