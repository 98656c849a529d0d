/** `esc migrate`: the schema of the store, step by step. */
import type { Command } from "commander";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { EscError } from "../src/errors.ts";
import type { Migration, MigrationTarget } from "../src/store/migrations.ts";
import { type CommandContext, wholeNumber } from "./command.ts";
import { chosenStore, type StoreFlags, withStoreOptions } from "./store-options.ts";

interface RunFlags extends StoreFlags {
  readonly to?: number;
  readonly dryRun?: boolean;
  readonly migrations?: string;
}

const TEMPLATE = `-- up


-- down

`;

/** Registers `esc migrate create|up|down|status`. */
export function register(program: Command, context: CommandContext): void {
  const { output } = context;
  const migrate = program.command("migrate")
    .summary("bring the schema of the store up to date")
    .description(
      "Bring the schema of the store up to date, or back. Each migration is one transaction; what was applied " +
        "must not change, and two who migrate at the same time wait for each other.",
    )
    .addHelpText(
      "after",
      "\nExamples:\n  $ esc migrate status --config config/config.yaml\n" +
        "  $ esc migrate create add-customers --folder migrations\n" +
        "  $ esc migrate up --dry-run\n  $ esc migrate down --to 1",
    );

  migrate.command("create")
    .summary("write an empty migration")
    .description("Write an empty migration whose version is the time, to be filled with SQL.")
    .argument("<name>", "what it does, such as add-customers")
    .option("--folder <path>", "where to write it; name this folder in store.migrations", "migrations")
    .action((name: string, { folder }: { folder: string }) => {
      if (!/^[A-Za-z0-9_-]+$/.test(name)) {
        throw new EscError("USAGE", "A name has letters, digits, - and _ only");
      }
      const version = new Date().toISOString().replaceAll(/[-:T]/g, "").slice(0, 14);
      const path = join(folder, `${version}_${name}.sql`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(path, TEMPLATE, { flag: "wx" });
      output.result({ path }, () => `${path} written`);
    });

  const running = (command: Command) =>
    withStoreOptions(command)
      .option("--to <version>", "stop at this version", wholeNumber(0))
      .option("--dry-run", "show what would be done, change nothing")
      .option("--migrations <folder>", "your migrations, instead of store.migrations");

  running(migrate.command("up"))
    .summary("apply what is pending")
    .description("Apply all that is pending, oldest first.")
    .action(async (flags: RunFlags) => await run(flags, "up", context));

  running(migrate.command("down"))
    .summary("undo the newest, or back to a version")
    .description("Undo the newest migration, or all that are newer than --to. Their data is lost.")
    .action(async (flags: RunFlags) => await run(flags, "down", context));

  withStoreOptions(migrate.command("status"))
    .option("--migrations <folder>", "your migrations, instead of store.migrations")
    .summary("show what is applied and what is not")
    .description("Show every migration. Exit status 1 when one that was applied is changed or missing.")
    .action(async (flags: RunFlags) => {
      await withTarget(flags, context, async (target, known) => {
        const { migrationStatus } = await import("../src/store/migrations.ts");
        const status = migrationStatus(known, await target.applied());
        for (const { name, state, executedAt } of status) {
          output.result(
            { name, state, executed_at: executedAt },
            () => `${state.padEnd(8)} ${name}${executedAt === undefined ? "" : `  ${executedAt}`}`,
          );
        }
        if (status.some(({ state }) => state === "changed" || state === "missing")) process.exitCode = 1;
      });
    });
}

async function run(flags: RunFlags, direction: "up" | "down", context: CommandContext): Promise<void> {
  const { output } = context;
  await withTarget(flags, context, async (target, known) => {
    const { migrateDown, migrateUp, planDown, planUp } = await import("../src/store/migrations.ts");
    const plan = direction === "up" ? planUp : planDown;
    const execute = direction === "up" ? migrateUp : migrateDown;
    const names = flags.dryRun === true
      ? plan(known, await target.applied(), flags.to).map(({ name }) => name)
      : await execute(target, known, flags.to);
    const verb = flags.dryRun === true ? "would run" : "ran";
    for (const name of names) {
      output.result(
        { name, direction, dry_run: flags.dryRun === true },
        () => `${verb} ${direction} ${name}`,
      );
    }
    if (names.length === 0 && !output.json) output.note("nothing to do");
  });
}

async function withTarget(
  flags: RunFlags,
  context: CommandContext,
  work: (target: MigrationTarget, known: readonly Migration[]) => Promise<void>,
): Promise<void> {
  const { backend, store } = await chosenStore(flags, context);
  const { ownMigrations, readMigrations } = await import("../src/store/migrations.ts");
  const folder = flags.migrations ?? store.migrations;
  const known = [...ownMigrations(backend.kind), ...(folder === null ? [] : readMigrations(folder))];
  if (backend.kind === "sqlite") {
    const { openSqlite } = await import("../src/store/sqlite.ts");
    const { SqliteMigrations } = await import("../src/store/sqlite-migrations.ts");
    const database = openSqlite(backend.path, { readonly: false });
    try {
      await work(new SqliteMigrations(database), known);
    } finally {
      database.close();
    }
    return;
  }
  const { PostgresMigrations } = await import("../src/store/postgres-migrations.ts");
  const target = new PostgresMigrations(backend);
  try {
    await work(target, known);
  } finally {
    await target.close();
  }
}
