/**
 * Fenced blocks of Markdown, with what a comment above them says to the tests of the documentation.
 *
 *     <!-- docs: server -->                  a server with its defaults runs before this page's commands
 *     <!-- docs: server --config FILE -->    the same with a configuration
 *     <!-- docs: status 78 -->               the block's last command ends with this status
 *     <!-- docs: not run: REASON -->         the block is not checked; the test prints why
 *
 * A block without a language that follows a block of commands is what they print.
 */
import { readFileSync } from "node:fs";

export interface Block {
  /** Path from the root of the repository. */
  readonly page: string;
  /** Of its first line, counted from 1. */
  readonly line: number;
  /** Empty: none is named. */
  readonly language: string;
  readonly text: string;
  /** What the comments above say, without `docs:`. */
  readonly notes: readonly string[];
  /** What its commands print, where the page shows it. */
  readonly output: string | undefined;
}

/** All fenced blocks of a page, in their order; shown outputs belong to their commands. */
export function blocksOf(page: string, path: string): Block[] {
  const blocks: Block[] = [];
  const lines = readFileSync(path, "utf8").split("\n");
  let notes: string[] = [];
  /** Whether nothing but empty lines has come since the last block. */
  let follows = false;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    const note = /^<!-- docs: (.*) -->$/.exec(line)?.[1];
    const fence = /^( *)```(.*)$/.exec(line);
    if (note !== undefined) notes.push(note);
    else if (fence !== null) {
      const [, indent = "", language = ""] = fence;
      const end = lines.indexOf(`${indent}\`\`\``, at + 1);
      const text = lines.slice(at + 1, end).map((inner) => inner.slice(indent.length)).join("\n");
      const before = blocks.at(-1);
      if (language === "" && follows && before !== undefined && isCommands(before)) {
        blocks[blocks.length - 1] = { ...before, output: text };
      } else blocks.push({ page, line: at + 2, language, text, notes, output: undefined });
      notes = [];
      follows = true;
      at = end;
    } else if (line.trim() !== "") {
      notes = [];
      follows = false;
    }
  }
  return blocks;
}

export function isCommands({ language }: Block): boolean {
  return language === "sh" || language === "console";
}

/** The reason for which a block is not checked. */
export function reasonNotRun({ notes }: Block): string | undefined {
  return notes.find((note) => note.startsWith("not run: "))?.slice("not run: ".length);
}

/** Commands and what they print: a `console` block has both, commands behind `$`. */
export function commandsOf(block: Block): { readonly commands: string; readonly output: string | undefined } {
  if (block.language === "sh") return { commands: block.text, output: block.output };
  const commands: string[] = [];
  const output: string[] = [];
  let continues = false;
  for (const line of block.text.split("\n")) {
    const isCommand: boolean = line.startsWith("$ ") || continues;
    continues = isCommand && line.endsWith("\\");
    if (isCommand) commands.push(line.replace(/^\$ /, ""));
    else output.push(line);
  }
  return { commands: commands.join("\n"), output: output.length === 0 ? undefined : output.join("\n") };
}

/**
 * Shown lines that were not printed, in this order. Numbers, times and runs of spaces may differ; `…` stands for
 * anything.
 */
export function missingLines(shown: string, printed: string): string[] {
  const lines = printed.split("\n").map(shape);
  let at = 0;
  return shown.split("\n").filter((line) => {
    if (line.trim() === "" || line.trim() === "…") return false;
    const pattern = new RegExp(`^${shape(line).split("…").map(escapeText).join(".*")}$`);
    const found = lines.findIndex((candidate, index) => index >= at && pattern.test(candidate));
    if (found < 0) return true;
    at = found + 1;
    return false;
  });
}

/** A line without what differs from run to run. */
function shape(line: string): string {
  return line
    .replace(/\b[0-9a-f]{8}\b/g, "#")
    .replace(/\d+(?:[.,]\d+)*/g, "#")
    .replace(/\s+/g, " ")
    .trim();
}

function escapeText(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
