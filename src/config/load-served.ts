/** Loading what a server needs to know of its configuration. */
import { EscError } from "../errors.ts";
import type { Config } from "./config.ts";
import type { DocumentValue } from "./document.ts";
import { loadConfig, loadConfigFile, type LoadedConfig } from "./load.ts";
import { printableConfig } from "./print.ts";
import { formatProblem } from "./problems.ts";

/** Where the configuration of a server is. */
export interface ServedConfigSource {
  /** The file; without one every key has its default. */
  readonly path: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Plain data: it can be posted to another thread. */
export interface ServedConfig {
  /** Complete and deeply frozen. */
  readonly config: Config;
  /** One line each: what the user should know though nothing is wrong. */
  readonly notices: readonly string[];
  /** The effective configuration in the file's form, without its secrets. */
  readonly printable: DocumentValue;
}

/**
 * Loads and checks a configuration.
 *
 * @throws {EscError} CONFIG_INVALID, with every problem and its place.
 */
export function loadServed(source: ServedConfigSource): ServedConfig {
  const loaded = load(source);
  return {
    config: loaded.config,
    notices: loaded.notices.map(formatProblem),
    printable: printableConfig(loaded),
  };
}

function load({ path, environment }: ServedConfigSource): LoadedConfig {
  if (path !== undefined) return loadConfigFile(path, environment);
  return loadConfig("", {
    file: "defaults",
    environment,
    readText: (named) => {
      throw new EscError("CONFIG_INVALID", `Nothing names ${named}`);
    },
  });
}
