/**
 * Versioned changes of the schema: which there are, which are applied, and what is to be done.
 *
 * A migration is one file, `<version>_<name>.sql`, with the parts `-- up` and `-- down`. Those of esc are in
 * the executable and come first; those of the user's folder follow. Each is applied in one transaction with
 * its row in the table `migrations`, which remembers a checksum: what was applied must never change.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EscError } from "../errors.ts";
import postgresTables from "./migrations/postgres/0001_tables.sql" with { type: "text" };
import postgresActivity from "./migrations/postgres/0002_activity_views.sql" with { type: "text" };
import sqliteTables from "./migrations/sqlite/0001_tables.sql" with { type: "text" };
import sqliteActivity from "./migrations/sqlite/0002_activity_views.sql" with { type: "text" };

/** Versions below are esc's own; the user's are times such as 20260131120000. */
const USER_VERSION_MIN = 10_000;

export interface Migration {
  /** File name without `.sql`. */
  readonly name: string;
  readonly version: number;
  readonly up: string;
  readonly down: string;
  /** Of both parts, line ends and trailing blanks aside. */
  readonly checksum: string;
}

/** A row of the table `migrations`. */
export interface AppliedMigration {
  readonly name: string;
  readonly checksum: string;
  /** ISO 8601. */
  readonly executedAt: string;
}

/** One database that migrations are applied to. */
export interface MigrationTarget {
  /** Runs `work` while no other process migrates this database; others wait. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
  /** What is applied, oldest first; empty for a database that was never migrated. Changes nothing. */
  applied(): Promise<readonly AppliedMigration[]>;
  /** Runs the part and writes or removes the row, in one transaction. Does nothing if another was quicker. */
  run(migration: Migration, direction: "up" | "down"): Promise<void>;
}

/** Reads one file. @throws {EscError} STORE_SCHEMA if its name or its parts are not as they should be. */
export function parseMigration(name: string, text: string): Migration {
  const version = /^(\d+)_[A-Za-z0-9_-]+$/.exec(name)?.[1];
  if (version === undefined) {
    throw refusal(`Cannot read migration '${name}': its name is not <version>_<name>.sql`, CREATE_HINT);
  }
  const parts = /^\s*--\s*up[ \t]*\r?\n([\s\S]*?)^--\s*down[ \t]*$([\s\S]*)/m.exec(text);
  if (parts === null) {
    throw refusal(`Cannot read migration '${name}': it needs the lines '-- up' and '-- down'`, CREATE_HINT);
  }
  const [, up = "", down = ""] = parts;
  const canonical = text.replaceAll(/[ \t\r]+$/gm, "").trim();
  const checksum = new Bun.CryptoHasher("sha256").update(canonical).digest("hex").slice(0, 32);
  return { name, version: Number(version), up: statementsOf(up), down: statementsOf(down), checksum };
}

/** The part as it is, or nothing when it has only comments: databases refuse a text without a statement. */
function statementsOf(part: string): string {
  return part.split("\n").every((line) => /^\s*(--.*)?$/.test(line)) ? "" : part.trim();
}

const CREATE_HINT = "esc migrate create <name> writes a file with the right form";

/** esc's own, oldest first. */
export function ownMigrations(kind: "sqlite" | "postgres"): readonly Migration[] {
  const texts = kind === "sqlite" ? [sqliteTables, sqliteActivity] : [postgresTables, postgresActivity];
  const names = ["0001_tables", "0002_activity_views"];
  return texts.map((text, index) => parseMigration(names[index] as string, text));
}

/**
 * The user's, oldest first.
 *
 * @throws {EscError} STORE_SCHEMA if the folder cannot be read, a file is malformed, or two have one version.
 */
export function readMigrations(folder: string): readonly Migration[] {
  let files: string[];
  try {
    files = readdirSync(folder).filter((file) => file.endsWith(".sql"));
  } catch (error) {
    throw refusal(`Cannot read the folder of migrations '${folder}'`, "Check store.migrations", error);
  }
  const migrations = files.map((file) =>
    parseMigration(file.slice(0, -".sql".length), readFileSync(join(folder, file), "utf8"))
  ).sort((a, b) => a.version - b.version);
  for (const [index, migration] of migrations.entries()) {
    if (migration.version < USER_VERSION_MIN) {
      throw refusal(
        `Cannot use migration '${migration.name}': versions below ${USER_VERSION_MIN} belong to esc`,
        CREATE_HINT,
      );
    }
    const other = migrations[index + 1];
    if (other?.version === migration.version) {
      throw refusal(`Migrations '${migration.name}' and '${other.name}' have one version`, "Rename one");
    }
  }
  return migrations;
}

/** What stands where: `changed` and `missing` must be settled before anything else happens. */
export interface MigrationStatus {
  readonly name: string;
  readonly state: "applied" | "pending" | "changed" | "missing";
  readonly executedAt?: string;
}

/** Compares what is known with what is applied, in the order of execution, pending ones last. */
export function migrationStatus(
  known: readonly Migration[],
  applied: readonly AppliedMigration[],
): MigrationStatus[] {
  const done = applied.map(({ name, checksum, executedAt }): MigrationStatus => {
    const migration = known.find((candidate) => candidate.name === name);
    const state = migration === undefined
      ? "missing"
      : migration.checksum === checksum
      ? "applied"
      : "changed";
    return { name, state, executedAt };
  });
  const pending = known.filter(({ name }) => !applied.some((row) => row.name === name));
  return [...done, ...pending.map(({ name }): MigrationStatus => ({ name, state: "pending" }))];
}

/**
 * What `up` has to do.
 *
 * @param to Version to stop after; without it, all.
 * @throws {EscError} STORE_SCHEMA if history does not fit the files; USAGE if there is no such version.
 */
export function planUp(
  known: readonly Migration[],
  applied: readonly AppliedMigration[],
  to?: number,
): Migration[] {
  checkHistory(known, applied);
  checkVersion(known, to);
  const pending = known.filter((migration) =>
    !applied.some((row) => row.name === migration.name) && migration.version <= (to ?? Infinity)
  );
  for (const migration of pending) {
    const isOwn = migration.version < USER_VERSION_MIN;
    // esc's own may follow the user's in time: a new version of esc brings them.
    const later = applied.find((row) => {
      const version = Number(row.name.split("_", 1)[0]);
      return version > migration.version && (version < USER_VERSION_MIN) === isOwn;
    });
    if (later !== undefined) {
      throw refusal(
        `Cannot apply migration '${migration.name}': the later '${later.name}' is applied already`,
        "Give it a new version, so that it comes last everywhere",
      );
    }
  }
  return pending;
}

/**
 * What `down` has to do, in this order.
 *
 * @param to Version to go back to, which stays; 0 for an empty database; without it, one step.
 */
export function planDown(
  known: readonly Migration[],
  applied: readonly AppliedMigration[],
  to?: number,
): Migration[] {
  checkHistory(known, applied);
  if (to !== 0) checkVersion(known, to);
  const newestFirst = applied.toReversed().flatMap((row) => known.filter(({ name }) => name === row.name));
  return to === undefined
    ? newestFirst.slice(0, 1)
    : newestFirst.filter((migration) => migration.version > to);
}

function checkHistory(known: readonly Migration[], applied: readonly AppliedMigration[]): void {
  for (const { name, state } of migrationStatus(known, applied)) {
    if (state === "changed") {
      throw refusal(
        `Migration '${name}' was changed after it was applied`,
        "Restore the file as it was applied, and put the change into a new migration",
      );
    }
    if (state === "missing") {
      throw refusal(
        `Migration '${name}' is applied, but there is no such file`,
        "Restore the file, or name its folder in store.migrations; a newer esc may have brought it",
      );
    }
  }
}

function checkVersion(known: readonly Migration[], to: number | undefined): void {
  if (to === undefined || known.some(({ version }) => version === to)) return;
  throw new EscError("USAGE", `There is no migration with version ${to}`, {
    hint: "esc migrate status lists them",
  });
}

/**
 * Applies all that is pending, each in its own transaction, while others wait.
 *
 * @returns Names of what was applied.
 */
export async function migrateUp(
  target: MigrationTarget,
  known: readonly Migration[],
  to?: number,
): Promise<string[]> {
  return await target.exclusive(async () => {
    const plan = planUp(known, await target.applied(), to);
    for (const migration of plan) await target.run(migration, "up");
    return plan.map(({ name }) => name);
  });
}

/** Undoes migrations, newest first. @returns Names of what was undone. */
export async function migrateDown(
  target: MigrationTarget,
  known: readonly Migration[],
  to?: number,
): Promise<string[]> {
  return await target.exclusive(async () => {
    const plan = planDown(known, await target.applied(), to);
    for (const migration of plan) await target.run(migration, "down");
    return plan.map(({ name }) => name);
  });
}

/** Brings the schema of a store that is being opened up to date, or refuses to go on. */
export async function prepareSchema(
  target: MigrationTarget,
  known: readonly Migration[],
  { auto }: { auto: boolean },
): Promise<string[]> {
  const pending = planUp(known, await target.applied());
  if (pending.length === 0) return [];
  if (auto) return await migrateUp(target, known);
  throw refusal(
    `The store lacks ${pending.length} migrations, first '${pending[0]?.name}'`,
    "Run esc migrate up, or set store.auto_migrate: true",
  );
}

/** A migration that the database refused: nothing of it is left. */
export function migrationFailure(migration: Migration, direction: string, error: unknown): EscError {
  const reason = error instanceof Error ? error.message : String(error);
  return refusal(
    `Migration '${migration.name}' failed on its way ${direction}: ${reason}`,
    "Nothing of it was applied; correct the file and run it again",
    error,
  );
}

function refusal(message: string, hint: string, cause?: unknown): EscError {
  return new EscError("STORE_SCHEMA", message, { hint, ...(cause === undefined ? {} : { cause }) });
}
