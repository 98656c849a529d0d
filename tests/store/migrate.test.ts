import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EscError } from "../../src/errors.ts";
import {
  migrateDown,
  migrateUp,
  migrationStatus,
  type MigrationTarget,
  ownMigrations,
  parseMigration,
  planUp,
  readMigrations,
} from "../../src/store/migrations.ts";
import { PostgresMigrations } from "../../src/store/postgres-migrations.ts";
import { openSqlite } from "../../src/store/sqlite.ts";
import { SqliteMigrations } from "../../src/store/sqlite-migrations.ts";
import { POSTGRES_MISSING, PostgresServer } from "../support/postgres.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { POSTGRES_TEST } from "./backends.ts";

const USER_A = parseMigration("20260101000000_a", "-- up\nCREATE TABLE a (x int);\n-- down\nDROP TABLE a;\n");
const USER_B = parseMigration("20260102000000_b", "-- up\nCREATE TABLE b (x int);\n-- down\nDROP TABLE b;\n");
const BROKEN = parseMigration(
  "20260103000000_broken",
  "-- up\nCREATE TABLE c (x int);\nINSERT INTO nowhere VALUES (1);\n-- down\nDROP TABLE c;\n",
);
const ESCAPING = parseMigration(
  "20260104000000_escaping",
  "-- up\nCREATE TABLE d (x int);\nCOMMIT;\n-- down\n",
);

/** A database for migrations, and a look at its tables. */
interface Place {
  readonly kind: "sqlite" | "postgres";
  target(): MigrationTarget;
  tables(): string[];
  remove(): Promise<void>;
}

function sqlitePlace(): Place {
  const folder = new TemporaryFolder("migrate");
  const path = folder.path("m.db");
  const opened: Database[] = [];
  return {
    kind: "sqlite",
    target: () => {
      const database = openSqlite(path, { readonly: false });
      opened.push(database);
      return new SqliteMigrations(database);
    },
    tables: () => {
      const database = new Database(path);
      const rows = database.query<{ name: string }, []>(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name",
      ).all();
      database.close();
      return rows.map(({ name }) => name);
    },
    remove: async () => {
      for (const database of opened) database.close();
      folder.remove();
    },
  };
}

async function postgresPlace(): Promise<Place> {
  const server = await PostgresServer.start();
  const opened: PostgresMigrations[] = [];
  return {
    kind: "postgres",
    target: () => {
      const target = new PostgresMigrations({ ...POSTGRES_TEST, url: server.url });
      opened.push(target);
      return target;
    },
    tables: () =>
      server.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1")
        .split("\n").filter((name) => name !== ""),
    remove: async () => {
      for (const target of opened) await target.close();
      await server.remove();
    },
  };
}

async function refused(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    if (error instanceof EscError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "done";
}

for (
  const [kind, create] of [
    ["sqlite", async () => sqlitePlace()],
    ["postgres", postgresPlace],
  ] as const
) {
  const missing = kind === "postgres" ? POSTGRES_MISSING : undefined;
  describe.skipIf(missing !== undefined)(
    `migrations on ${kind}${missing === undefined ? "" : ` (${missing})`}`,
    () => {
      let place: Place;
      beforeAll(async () => {
        place = await create();
      });
      afterAll(async () => {
        await place?.remove();
      });

      test("applied() changes nothing in an empty database", async () => {
        expect(await place.target().applied()).toEqual([]);
        expect(place.tables()).toEqual([]);
      });

      test("up, down to 0, up: everything comes, goes, and comes again", async () => {
        const known = [...ownMigrations(kind), USER_A];
        const names = known.map(({ name }) => name);
        expect(await migrateUp(place.target(), known)).toEqual(names);
        const full = place.tables();
        expect(full).toContain("events");
        expect(full).toContain("a");
        expect(await migrateUp(place.target(), known)).toEqual([]);
        expect(await migrateDown(place.target(), known, 0)).toEqual(names.toReversed());
        expect(place.tables()).toEqual(["migrations"]);
        expect(await migrateUp(place.target(), known)).toEqual(names);
        expect(place.tables()).toEqual(full);
      });

      test("--to stops at a version, both ways; down without it is one step", async () => {
        const known = [...ownMigrations(kind), USER_A, USER_B];
        expect(await migrateUp(place.target(), known, USER_A.version)).toEqual([]);
        expect(await migrateUp(place.target(), known)).toEqual([USER_B.name]);
        expect(await migrateDown(place.target(), known)).toEqual([USER_B.name]);
        expect(await migrateDown(place.target(), known, 2)).toEqual([USER_A.name]);
        expect(await refused(migrateUp(place.target(), known, 77))).toBe(
          "USAGE: There is no migration with version 77",
        );
        await migrateUp(place.target(), known);
      });

      test("a migration that fails leaves the schema and the list as they were", async () => {
        const known = [...ownMigrations(kind), USER_A, USER_B, BROKEN];
        const before = place.tables();
        expect(await refused(migrateUp(place.target(), known))).toMatch(
          /^STORE_SCHEMA: Migration '20260103000000_broken' failed on its way up: .*nowhere/,
        );
        expect(place.tables()).toEqual(before);
        expect((await place.target().applied()).at(-1)?.name).toBe(USER_B.name);
      });

      test("a migration that ends its transaction is told so", async () => {
        const known = [...ownMigrations(kind), USER_A, USER_B, ESCAPING];
        expect(await refused(migrateUp(place.target(), known))).toMatch(
          /^STORE_SCHEMA: Migration '20260104000000_escaping' failed on its way up: it ended the transaction/,
        );
      });

      test("an applied migration that was changed or is gone stops everything", async () => {
        const own = ownMigrations(kind);
        const changed = parseMigration(
          USER_A.name,
          "-- up\nCREATE TABLE a (y int);\n-- down\nDROP TABLE a;\n",
        );
        expect(await refused(migrateUp(place.target(), [...own, changed, USER_B]))).toBe(
          "STORE_SCHEMA: Migration '20260101000000_a' was changed after it was applied",
        );
        expect(await refused(migrateDown(place.target(), [...own, USER_B]))).toBe(
          "STORE_SCHEMA: Migration '20260101000000_a' is applied, but there is no such file",
        );
        const status = migrationStatus([...own, changed, USER_B], await place.target().applied());
        expect(status.map(({ name, state }) => `${name} ${state}`)).toEqual([
          "0001_tables applied",
          "0002_activity_views applied",
          "20260101000000_a changed",
          "20260102000000_b applied",
        ]);
      });

      test("two who migrate at the same time do everything once", async () => {
        const own = ownMigrations(kind);
        await migrateDown(place.target(), [...own, USER_A, USER_B], 0);
        const slow = parseMigration(
          "20260105000000_slow",
          kind === "postgres"
            ? "-- up\nSELECT pg_sleep(0.2);\nCREATE TABLE slow (x int);\n-- down\nDROP TABLE slow;\n"
            : "-- up\nCREATE TABLE slow (x int);\n-- down\nDROP TABLE slow;\n",
        );
        const known = [...own, USER_A, slow];
        await Promise.all([migrateUp(place.target(), known), migrateUp(place.target(), known)]);
        expect((await place.target().applied()).map(({ name }) => name)).toEqual(
          known.map(({ name }) => name),
        );
      });
    },
  );
}

describe("migration files", () => {
  test("a file needs a version, a name and both parts", async () => {
    expect(await refused(() => parseMigration("nonsense", "-- up\n-- down\n"))).toMatch(
      /its name is not <version>_<name>/,
    );
    expect(await refused(() => parseMigration("20260101000000_x", "CREATE TABLE x (y int)"))).toMatch(
      /'-- up' and '-- down'/,
    );
  });

  test("the checksum does not see line ends and trailing blanks, but sees everything else", () => {
    const plain = parseMigration("20260101000000_x", "-- up\nSELECT 1;\n-- down\nSELECT 2;\n");
    const windows = parseMigration(
      "20260101000000_x",
      "-- up\r\nSELECT 1;  \r\n-- down\r\nSELECT 2;\r\n\r\n",
    );
    const other = parseMigration("20260101000000_x", "-- up\nSELECT 1;\n-- down\nSELECT 3;\n");
    expect(windows.checksum).toBe(plain.checksum);
    expect(other.checksum).not.toBe(plain.checksum);
    expect([plain.up, plain.down]).toEqual(["SELECT 1;", "SELECT 2;"]);
  });

  test("a folder is read in the order of versions; versions of esc and repeated ones are refused", async () => {
    const folder = new TemporaryFolder("migrations");
    mkdirSync(folder.path("m"));
    const write = (name: string) => writeFileSync(join(folder.path("m"), name), "-- up\n-- down\n");
    write("20260102000000_b.sql");
    write("20260101000000_a.sql");
    write("README.txt");
    expect(readMigrations(folder.path("m")).map(({ name }) => name)).toEqual([
      "20260101000000_a",
      "20260102000000_b",
    ]);
    write("20260101000000_z.sql");
    expect(await refused(() => readMigrations(folder.path("m")))).toMatch(/have one version/);
    for (const file of readdirSync(folder.path("m"))) rmSync(join(folder.path("m"), file));
    write("0003_mine.sql");
    expect(await refused(() => readMigrations(folder.path("m")))).toMatch(
      /versions below 10000 belong to esc/,
    );
    folder.remove();
  });

  test("a migration older than an applied one is refused, unless esc itself brings it", async () => {
    const applied = [{ ...USER_B, executedAt: "" }];
    expect(await refused(() => planUp([USER_A, USER_B], applied))).toBe(
      "STORE_SCHEMA: Cannot apply migration '20260101000000_a': the later '20260102000000_b' is applied already",
    );
    const own = ownMigrations("sqlite");
    expect(planUp([...own, USER_B], applied).map(({ name }) => name)).toEqual(own.map(({ name }) => name));
  });
});
