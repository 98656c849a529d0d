/** Loading of configuration texts in tests: without the file system, problems as lines. */
import type { Config } from "../../src/config/config.ts";
import { type ConfigSource, loadConfig, type LoadedConfig } from "../../src/config/load.ts";
import { ConfigError, formatProblem } from "../../src/config/problems.ts";

/** A source named `c.yaml` with these variables and files. */
export function sourceOf(
  { environment = {}, files = {} }: {
    environment?: Record<string, string>;
    files?: Readonly<Record<string, string>>;
  } = {},
): ConfigSource {
  return {
    file: "c.yaml",
    environment,
    readText(path) {
      const text = files[path];
      if (text === undefined) throw new Error(`no file ${path}`);
      return text;
    },
  };
}

export function load(text: string, source = sourceOf()): LoadedConfig {
  return loadConfig(text, source);
}

export function configOf(text: string, source = sourceOf()): Config {
  return load(text, source).config;
}

/** What is wrong with a text, as `line:column: message`. */
export function problemsOf(text: string, source = sourceOf()): string[] {
  try {
    loadConfig(text, source);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map((problem) => formatProblem(problem).replace("c.yaml:", ""));
  }
}
