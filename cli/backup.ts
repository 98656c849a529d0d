/** `esc backup`: a copy of the data directory, taken while the server works, and proof that it is whole. */
import type { Command } from "commander";
import process from "node:process";
import type { CommandContext } from "./command.ts";
import type { Manifest } from "./backup/manifest.ts";
import { VERSION } from "./version.ts";

/** Registers `esc backup`. */
export function register(program: Command, context: CommandContext): void {
  const backup = program.command("backup")
    .summary("copy the data directory while the server works")
    .description(
      "Copy a data directory into a new folder or one tar file, with a manifest of hashes. The server goes on " +
        "meanwhile, and is not asked: of each log the copy has everything from its oldest event up to some event " +
        "that is durable.",
    )
    .argument("<target>", "folder to make; with a name that ends in .tar, one file")
    .option("--data <dir>", "data directory", "./data")
    .addHelpText(
      "after",
      "\nExamples:\n  $ esc backup /backup/monday.tar --data /var/lib/esc\n  $ esc backup verify /backup/monday.tar",
    )
    .action(async (target: string, options: { data: string }) => {
      const { createBackup } = await import("./backup/create.ts");
      const { output } = context;
      const onFile = (path: string) => output.progress(path);
      const manifest = createBackup(options.data, target, { esc: VERSION, onFile });
      output.result(summary(manifest), () => `${target}: ${text(manifest)}`);
    });
  backup.command("verify")
    .description("Read a backup and check every file and every event. Exit status 1 if anything is wrong.")
    .argument("<backup>", "folder or .tar file that 'esc backup' made")
    .action(async (folder: string) => {
      const { checkBackup } = await import("./backup/check.ts");
      const { output } = context;
      const { manifest, problems, damages } = checkBackup(folder, (path) => output.progress(path));
      const isGood = problems.length === 0;
      output.result({ ...summary(manifest), ok: isGood, problems, damages }, () => {
        const verdict = isGood ? output.style("green", "ok") : output.style("red", "not whole");
        return [`${folder}: ${verdict}, ${text(manifest)}`, ...problems, ...damages].join("\n  ");
      });
      if (!isGood) process.exitCode = 1;
    });
}

/** What a manifest amounts to, for a person. */
export function text(manifest: Manifest): string {
  const { shards, events, bytes, files } = summary(manifest);
  const number = (value: number) => value.toLocaleString("en");
  return `${number(events)} events in ${shards.length} logs, ${number(bytes)} bytes in ${
    number(files)
  } files`;
}

/** The same for programs. */
export function summary(manifest: Manifest) {
  return {
    created_us: manifest.created_us,
    shards: manifest.shards,
    events: manifest.shards.reduce((sum, shard) => sum + shard.next_offset - shard.first_offset, 0),
    bytes: manifest.files.reduce((sum, file) => sum + file.bytes, 0),
    files: manifest.files.length,
  };
}
