/** What `--help` says of every command, and that README.md names each. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runEsc } from "../support/esc.ts";
import { ROOT } from "./pages.ts";

async function helpOf(command: readonly string[]): Promise<string> {
  const { status, stdout } = await runEsc([...command, "--help"]);
  expect({ command, status }).toEqual({ command, status: 0 });
  return stdout;
}

/** Commands that a help text lists. */
function commandsIn(help: string): string[] {
  const [, list = ""] = help.split("\nCommands:\n");
  const names = list.split("\n\n")[0]?.matchAll(/^ {2}([a-z-]+)/gm) ?? [];
  return Array.from(names, ([, name = ""]) => name).filter((name) => name !== "help");
}

/** Every command's help, by its words. */
async function allHelp(command: readonly string[]): Promise<[string, string][]> {
  const help = await helpOf(command);
  const below: [string, string][] = [];
  for (const name of commandsIn(help)) below.push(...await allHelp([...command, name]));
  return [[["esc", ...command].join(" "), help], ...below];
}

test("each command's help is a sentence, and its defaults are words", async () => {
  const texts = await allHelp([]);
  expect(texts.length).toBeGreaterThan(30);
  for (const [command, help] of texts) {
    const description = help.split("\n\n")[1]?.replace(/\s+/g, " ") ?? "";
    expect(`${command}: ${description}`).toMatch(/^esc[^:]*: [A-Z].*[.]$/);
    expect(`${command}: ${help}`).not.toMatch(/default: (null|undefined|Infinity|NaN|\[|\{|\d{6,}\))/);
  }
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  for (const name of commandsIn(texts[0]?.[1] ?? "")) expect(readme).toContain(`\`${name}\``);
}, 60_000);
