/** `esc restore`: a backup becomes a data directory again. */
import type { Command } from "commander";
import { summary, text } from "./backup.ts";
import type { CommandContext } from "./command.ts";

/** Registers `esc restore`. */
export function register(program: Command, context: CommandContext): void {
  program.command("restore")
    .summary("make a data directory from a backup")
    .description(
      "Copy a backup into a data directory that is empty or does not exist, and check all of it. When anything is " +
        "not as it was backed up, nothing is left there.",
    )
    .argument("<backup>", "folder or .tar file that 'esc backup' made")
    .option("--data <dir>", "data directory to make", "./data")
    .addHelpText("after", "\nExamples:\n  $ esc restore /backup/monday.tar --data /var/lib/esc")
    .action(async (backup: string, options: { data: string }) => {
      const { restoreBackup } = await import("./backup/check.ts");
      const { output } = context;
      const { manifest, damages } = restoreBackup(backup, options.data, (path) => output.progress(path));
      output.result({ ...summary(manifest), damages }, () => {
        return [`${options.data}: ${text(manifest)}`, ...damages].join("\n  ");
      });
    });
}
