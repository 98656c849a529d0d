/** `esc debug bundle`: everything that somebody who helps needs, in one file. */
import type { Command } from "commander";
import { writeFileSync } from "node:fs";
import { EscError } from "../src/errors.ts";
import type { CommandContext } from "./command.ts";
import type { BundleFile } from "./debug/collect.ts";
import { addHttpPortOption, HOST_DEFAULT } from "./server-options.ts";
import { VERSION } from "./version.ts";

interface BundleOptions {
  readonly host: string;
  readonly httpPort: number;
  readonly config?: string;
  readonly out?: string;
}

const README = `This bundle was made by esc debug bundle.

It holds figures, states and file names; no payloads of events, no tokens, no other secrets. Names of topics,
consumers, and what alerts say, are in it: look through it before you give it to somebody.

config.yaml         the configuration in force, secrets hidden
server/             what the server answered; *.error where it did not. metrics twice, two seconds apart
machine/            esc doctor, kernel, memory, limits, pressure, the unit's journal
data-files.jsonl    files of the data directory with their sizes
`;

/** Registers `esc debug bundle`. */
export function register(program: Command, context: CommandContext): void {
  const debug = program.command("debug")
    .summary("gather what is needed to help")
    .description("Gather what is needed to help.");
  const bundle = debug.command("bundle")
    .summary("write state, metrics and configuration into one file")
    .description(
      "Write the server's state, metrics and configuration, and facts of the machine, into one .tar.gz. No payloads " +
        "and no secrets. Works without a server, too.",
    )
    .option("--host <host>", "server's host", HOST_DEFAULT);
  addHttpPortOption(bundle)
    .option("--config <file>", "the server's configuration file; without it, the defaults")
    .option("--out <file>", "file to write (default: esc-debug-<time>.tar.gz)")
    .addHelpText(
      "after",
      "\nExamples:\n  $ esc debug bundle --config config.yaml\n  $ esc debug bundle --out /tmp/esc.tar.gz",
    )
    .action((options: BundleOptions) => writeBundle(options, context));
}

async function writeBundle(options: BundleOptions, { output, env }: CommandContext): Promise<void> {
  const { loadConfig, loadConfigFile } = await import("../src/config/load.ts");
  const { collectMachine, collectServer } = await import("./debug/collect.ts");
  const loaded = options.config === undefined
    ? loadConfig("", { file: "(defaults)", environment: env, readText: () => "" })
    : loadConfigFile(options.config, env);
  output.progress("asking the server ...");
  const server = await collectServer(options);
  output.progress("looking at the machine ...");
  const files: BundleFile[] = [
    { path: "README.txt", text: README },
    { path: "version.txt", text: `esc ${VERSION}, Bun ${Bun.version}\n` },
    ...server,
    ...await collectMachine(loaded),
  ];
  const now = new Date();
  const name = `esc-debug-${now.toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}`;
  const path = options.out ?? `${name}.tar.gz`;
  const bytes = await archive(name, files, now);
  try {
    writeFileSync(path, bytes, { mode: 0o600, flag: "wx" });
  } catch (cause) {
    throw new EscError("USAGE", `Cannot write ${path}`, { cause, hint: "Choose another place by --out" });
  }
  const missing = server.filter((file) => file.path.endsWith(".error")).length;
  if (missing > 0) output.note(`the server did not answer ${missing} of ${server.length} questions`);
  output.result({ path, files: files.length, bytes: bytes.length }, () => `${path}: ${files.length} files`);
}

/** A gzipped tar archive with everything below one folder. */
async function archive(folder: string, files: readonly BundleFile[], now: Date): Promise<Uint8Array> {
  const { encodeTarHeaders, TAR_END_BYTES, tarPadding } = await import("./backup/tar.ts");
  const seconds = Math.floor(now.getTime() / 1000);
  const parts = files.flatMap(({ path, text }) => {
    const content = Buffer.from(text);
    const headers = encodeTarHeaders(`${folder}/${path}`, content.length, seconds);
    return [headers, content, new Uint8Array(tarPadding(content.length))];
  });
  return Bun.gzipSync(Buffer.concat([...parts, new Uint8Array(TAR_END_BYTES)]));
}
