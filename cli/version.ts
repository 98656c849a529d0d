/** `esc version`: what this executable is. */
import type { Command } from "commander";
import manifest from "../package.json" with { type: "json" };
import type { CommandContext } from "./command.ts";

/** Version of esc, as in package.json. */
export const VERSION: string = manifest.version;

/** Registers `esc version`. */
export function register(program: Command, context: CommandContext): void {
  program.command("version")
    .summary("print the version")
    .description("Print the version of esc, of its runtime, and the platform it was built for.")
    .addHelpText("after", "\nExamples:\n  $ esc version\n  $ esc version --json")
    .action(() => {
      const about = {
        name: "esc",
        version: VERSION,
        bun: Bun.version,
        revision: Bun.revision,
        platform: process.platform,
        arch: process.arch,
      };
      context.output.result(
        about,
        () => `esc ${about.version} (bun ${about.bun}, ${about.platform}-${about.arch})`,
      );
    });
}
