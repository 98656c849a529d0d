/** How commands that use the store find it: by the configuration, or by `--url` and `--path`. */
import type { Command } from "commander";
import type { StoreConfig } from "../src/config/config.ts";
import { EscError } from "../src/errors.ts";
import type { StoreOptions } from "../src/store/options.ts";
import type { CommandContext } from "./command.ts";

/** What the options below give. */
export interface StoreFlags {
  readonly config?: string;
  readonly sqlite?: string;
  readonly postgres?: string;
}

/** Adds the options that name a store. */
export function withStoreOptions(command: Command): Command {
  return command
    .option("-c, --config <file>", "configuration whose store is meant; without it, the default store")
    .option("--sqlite <path>", "this SQLite file instead")
    .option("--postgres <url>", "this PostgreSQL server instead (also by ESC_STORE_URL)");
}

/** The store that is meant. @throws {EscError} CONFIG_INVALID, USAGE. */
export async function chosenStore(
  flags: StoreFlags,
  context: CommandContext,
): Promise<{ readonly backend: StoreOptions["backend"]; readonly store: StoreConfig }> {
  const { loadConfig, loadConfigFile } = await import("../src/config/load.ts");
  const { backendOf } = await import("../src/engine-store.ts");
  const { config } = flags.config === undefined
    ? loadConfig("", { file: "(defaults)", environment: context.env, readText: unreadable })
    : loadConfigFile(flags.config, context.env);
  if (flags.sqlite !== undefined && flags.postgres !== undefined) {
    throw new EscError("USAGE", "--sqlite and --postgres exclude each other");
  }
  const url = flags.postgres ?? (flags.config === undefined ? context.env["ESC_STORE_URL"] : undefined);
  const store: StoreConfig = flags.sqlite !== undefined
    ? { ...config.store, backend: "sqlite", path: flags.sqlite }
    : url !== undefined
    ? { ...config.store, backend: "postgres", url: postgresUrl(url), replicas: [] }
    : config.store;
  return { backend: backendOf(store, { root: config.data.dir }), store };
}

function postgresUrl(text: string): string {
  if (/^postgres(ql)?:$/.test(URL.parse(text)?.protocol ?? "")) return text;
  // Not quoted: it may hold a password.
  throw new EscError("USAGE", "--postgres needs a URL such as postgres://user@host:5432/database");
}

function unreadable(path: string): never {
  throw new Error(`The default configuration names no file, so ${path} is not read`);
}
