/** `esc handlers`: handlers of your own, begun, checked and tried out; and the process that hosts one. */
import type { Command } from "commander";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { EscError } from "../src/errors.ts";
import type { CommandContext } from "./command.ts";
import { HANDLER_TYPES, newHandler } from "./handlers-template.ts";
import { addTestCommand } from "./handlers-test.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;
/** Longest time a file may take to load. */
const LOAD_MS_MAX = 10_000;

/** Registers `esc handlers`. */
export function register(program: Command, context: CommandContext): void {
  const command = program.command("handlers")
    .summary("write, check and try handlers of your own")
    .description(
      "Handlers of your own: TypeScript files that esc runs as they are, and programs that speak JSON lines.",
    );
  command.command("new")
    .summary("begin a handler")
    .description("Write a handler to begin with, and the types that editors complete it by.")
    .argument("<name>", "name of the handler and its file")
    .option("--dir <folder>", "folder of handlers", "handlers")
    .option("--topics <pattern>", "topics that it handles", "orders.>")
    .addHelpText("after", "\nExample:\n  $ esc handlers new fraud --topics 'payments.>'")
    .action((name: string, options: { dir: string; topics: string }) => write(name, options, context));
  command.command("check")
    .summary("load handlers and say what is wrong with them")
    .description("Load each file as the server would, and show its topics or why it is no handler.")
    .argument("<file...>", "files of handlers")
    .addHelpText("after", "\nExample:\n  $ esc handlers check handlers/*.ts")
    .action(async (files: string[]) => await check(files, context));
  addTestCommand(command, context);
  command.command("host", { hidden: true })
    .description("Host one handler for a server: it speaks over stdin and stdout.")
    .argument("<file>", "file of the handler")
    .action(async (file: string) => await host(file));
}

function write(
  name: string,
  { dir, topics }: { dir: string; topics: string },
  { output }: CommandContext,
): void {
  if (!NAME.test(name)) {
    throw new EscError("USAGE", `"${name}" is no name for a handler`, {
      hint: 'Use 1 to 63 letters, digits, "-" and "_"',
    });
  }
  const file = join(dir, `${name}.ts`);
  const types = join(dir, "handler.d.ts");
  if (existsSync(file)) throw new EscError("USAGE", `${file} is there already`);
  mkdirSync(dir, { recursive: true });
  writeFileSync(file, newHandler(topics));
  writeFileSync(types, HANDLER_TYPES);
  output.result(
    { file, types },
    () =>
      `${file}\n${types}\n\nTry it:     esc handlers test ${file} --topic ${
        topics.replace(/[>*]/g, "new")
      } -\n` +
      `Serve it:   processing: { handlers_dir: ${dir} }`,
  );
}

async function check(files: readonly string[], { output }: CommandContext): Promise<void> {
  const { hostCommand } = await import("../src/engine-handlers.ts");
  const { ModuleProcess } = await import("../src/process/handlers/user/module-process.ts");
  for (const file of files) {
    const { promise, resolve } = Promise.withResolvers<{ topics?: readonly string[]; problem?: string }>();
    const hosted = new ModuleProcess([...hostCommand(), file], {
      onReady: ({ topics }) => resolve({ topics }),
      onEnd: (problem) => resolve({ problem }),
      onResult: () => {},
      onLine: (line) => output.note(line),
    });
    const timer = setTimeout(() => hosted.kill(`It took more than ${LOAD_MS_MAX} ms to load`), LOAD_MS_MAX);
    const found = await promise;
    clearTimeout(timer);
    hosted.close();
    if (found.problem !== undefined) process.exitCode = 1;
    output.result(
      { file, ...found },
      () => `${file}: ${found.problem ?? `ok, topics ${topicsText(found.topics)}`}`,
    );
  }
}

function topicsText(topics: readonly string[] = []): string {
  return topics.length === 0 ? "none of its own" : topics.join(" ");
}

async function host(file: string): Promise<void> {
  const { takeStdout } = await import("../src/process/handlers/user/own-streams.ts");
  const { hostHandler } = await import("../src/process/handlers/user/host.ts");
  await hostHandler(file, { input: Bun.stdin.stream(), write: takeStdout() });
  // Timers and sockets of the handler do not keep it alive.
  process.exit(0);
}
