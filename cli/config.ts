/** `esc config`: check, show, describe and write configuration files. */
import type { Command } from "commander";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import process from "node:process";
import type { LoadedConfig } from "../src/config/load.ts";
import { EscError } from "../src/errors.ts";
import type { CommandContext } from "./command.ts";

/** Registers `esc config validate|print|schema|init`. */
export function register(program: Command, context: CommandContext): void {
  const { output } = context;
  const config = program.command("config")
    .summary("check, print and write configuration files")
    .description("Check, print and write configuration files.")
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  $ esc config init                          # a commented config.yaml with every key\n" +
        "  $ esc config validate config.yaml          # all problems at once, exit status 78\n" +
        "  $ esc config print --config config.yaml    # what is in force, defaults included\n" +
        "  $ esc config schema > esc.schema.json      # completion in editors",
    );

  config.command("validate")
    .summary("check a file and tell every problem")
    .description(
      "Check a file and tell every problem with its line and column. Exit status 78 if there is one.",
    )
    .argument("[file]", "configuration file")
    .option("--config <file>", "the same")
    .addHelpText("after", "\nExample:\n  $ esc config validate config/config.yaml")
    .action(async (argument: string | undefined, options: { config?: string }) => {
      const file = argument ?? options.config;
      if (file === undefined) throw new EscError("USAGE", "No file to check is named");
      const { loadConfigFile } = await import("../src/config/load.ts");
      const { ConfigError, formatProblem } = await import("../src/config/problems.ts");
      let loaded: LoadedConfig;
      try {
        loaded = loadConfigFile(file, context.env);
      } catch (error) {
        if (!output.json || !(error instanceof ConfigError)) throw error;
        output.result({ file, valid: false, problems: error.problems }, () => error.message);
        process.exitCode = error.exitStatus;
        return;
      }
      const { notices } = loaded;
      if (!output.json) { for (const notice of notices) output.note(formatProblem(notice)); }
      output.result({ file, valid: true, problems: [], notices }, () => `${file} is valid`);
    });

  config.command("print")
    .summary("print the configuration in force")
    .description(
      "Print the configuration in force as YAML, with every default. Secrets are shown as ${file:PATH}.",
    )
    .argument("[file]", "configuration file; without it, the defaults")
    .option("--config <file>", "the same")
    .addHelpText("after", "\nExample:\n  $ esc config print --config config/config.yaml")
    .action(async (argument: string | undefined, options: { config?: string }) => {
      const { loadConfig, loadConfigFile } = await import("../src/config/load.ts");
      const { printableConfig, printConfig } = await import("../src/config/print.ts");
      const file = argument ?? options.config;
      const loaded = file === undefined
        ? loadConfig("", { file: "(defaults)", environment: context.env, readText: unreadable })
        : loadConfigFile(file, context.env);
      output.result(printableConfig(loaded), () => printConfig(loaded).trimEnd());
    });

  config.command("schema")
    .summary("print the JSON Schema")
    .description("Print the JSON Schema of the configuration, for completion and checks in editors.")
    .addHelpText(
      "after",
      "\nExample:\n  $ esc config schema > esc.schema.json\n" +
        "  First line of config.yaml: # yaml-language-server: $schema=./esc.schema.json",
    )
    .action(async () => {
      const { configJsonSchema } = await import("../src/config/json-schema.ts");
      const schema = configJsonSchema();
      output.result(schema, () => JSON.stringify(schema, null, 2));
    });

  config.command("init")
    .summary("write a commented configuration file")
    .description("Write a configuration file with every key, its default and what it means.")
    .argument("[path]", "file to write", "config.yaml")
    .option("--force", "replace the file if it exists")
    .addHelpText("after", "\nExample:\n  $ esc config init config/config.yaml")
    .action(async (path: string, options: { force?: boolean }) => {
      const { configTemplate } = await import("../src/config/template.ts");
      writeNew(path, configTemplate(), { replace: options.force === true });
      output.result({ path }, () => `${path} written`);
    });
}

function writeNew(path: string, text: string, { replace }: { replace: boolean }): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text, { flag: replace ? "w" : "wx" });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") {
      throw new EscError("USAGE", `File ${path} exists already`, {
        hint: "--force replaces it",
        cause: error,
      });
    }
    throw new EscError("INTERNAL", `Cannot write ${path}`, { cause: error });
  }
}

function unreadable(path: string): never {
  throw new Error(`The default configuration names no file, so ${path} is not read`);
}
