import { afterAll, beforeAll, expect, test } from "bun:test";
import { SqliteStore } from "../../src/store/sqlite.ts";
import { rowsOf, T0_US } from "../store/rows.ts";
import { runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

const folder = new TemporaryFolder("query");
const path = folder.path("store.db");

beforeAll(async () => {
  const store = await SqliteStore.open({ path, origin: "o", nowUs: () => T0_US, autoMigrate: true });
  const [log] = await store.positions("c", [{ lane: "l", shard: 0, startOffset: 0 }]);
  const logId = log?.logId ?? -1;
  await store.commit({
    consumer: "c",
    moves: [{ logId, fromOffset: 0, nextOffset: 3 }],
    events: rowsOf([
      { logId, offset: 0, topic: "a", payload: `say "hi", you` },
      { logId, offset: 1, topic: "b", payload: "\x1b[31mred\nnext" },
      { logId, offset: 2, topic: "c", payload: new Uint8Array([255]), key: "k" },
    ]),
  });
  await store.close();
});
afterAll(() => folder.remove());

test("esc query prints CSV when piped, NULL as nothing, bytes that are no text as base64", async () => {
  const sql = "SELECT topic, event_key, payload FROM events ORDER BY log_offset";
  const { status, stdout } = await runEsc(["query", "--sqlite", path, sql]);
  expect(stdout).toBe(
    `topic,event_key,payload\na,,"say ""hi"", you"\nb,,"\x1b[31mred\nnext"\nc,k,base64:/w==\n`,
  );
  expect(status).toBe(0);
});

test("esc query --format json and table; a terminal never gets control characters", async () => {
  const json = await runEsc([
    "query",
    "--sqlite",
    path,
    "--format",
    "json",
    "SELECT topic, event_key FROM events",
  ]);
  expect(json.stdout).toBe(
    `{"topic":"a","event_key":null}\n{"topic":"b","event_key":null}\n{"topic":"c","event_key":"k"}\n`,
  );
  const table = await runEsc([
    "query",
    "--sqlite",
    path,
    "--format",
    "table",
    "SELECT payload AS p FROM events LIMIT 2",
  ]);
  expect(table.stdout).toBe(`p\n-------------\nsay "hi", you\n·[31mred·next\n`);
});

test("esc query --limit cuts and says so", async () => {
  const cut = await runEsc(["query", "--sqlite", path, "--limit", "2", "SELECT topic FROM events"]);
  expect(cut.stdout).toBe("topic\na\nb\n");
  expect(cut.stderr).toContain("only the first 2 rows");
});

test("esc query changes nothing, whatever it is given", async () => {
  for (
    const sql of [
      "DELETE FROM events",
      "DROP TABLE events",
      "INSERT INTO logs VALUES (9, 'x', 'y', 0)",
      "nonsense",
    ]
  ) {
    const { status, stderr } = await runEsc(["query", "--sqlite", path, sql]);
    expect(stderr).toContain("error: Cannot run the query: ");
    expect(status).toBe(2);
  }
  const { stdout } = await runEsc(["query", "--sqlite", path, "SELECT count(*) AS n FROM events"]);
  expect(stdout).toBe("n\n3\n");
});

test("esc query of a store that is not there fails, and makes none", async () => {
  const missing = folder.path("missing.db");
  const { status, stderr } = await runEsc(["query", "--sqlite", missing, "SELECT 1"]);
  expect(stderr).toContain(`error: Cannot open ${missing}`);
  expect(status).toBe(1);
});

test("esc migrate goes up, tells its status, and comes down", async () => {
  const database = folder.path("migrated.db");
  const run = (...args: string[]) => runEsc(["migrate", ...args, "--sqlite", database]);
  expect((await run("up", "--dry-run")).stdout).toBe(
    "would run up 0001_tables\nwould run up 0002_activity_views\n",
  );
  expect((await run("up")).stdout).toBe("ran up 0001_tables\nran up 0002_activity_views\n");
  expect((await run("status")).stdout).toMatch(
    /^applied {2}0001_tables {2}20.*\napplied {2}0002_activity_views/,
  );
  expect((await run("down", "--to", "1")).stdout).toBe("ran down 0002_activity_views\n");
  const created = await runEsc(["migrate", "create", "add-x", "--folder", folder.path("m"), "--json"]);
  expect(JSON.parse(created.stdout).path).toMatch(/\/m\/20\d{12}_add-x\.sql$/);
  expect((await run("up", "--migrations", folder.path("m"))).stdout).toMatch(
    /^ran up 0002_activity_views\nran up 20\d{12}_add-x\n$/,
  );
  const missing = await run("up");
  expect(missing.stderr).toMatch(
    /error: Migration '20\d{12}_add-x' is applied, but there is no such file\n {2}hint: /,
  );
  expect(missing.status).toBe(1);
});
