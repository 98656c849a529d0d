/** `esc query`: one SELECT over the store. */
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { SelectResult } from "../src/store/reader.ts";
import { type CommandContext, wholeNumber } from "./command.ts";
import { chosenStore, type StoreFlags, withStoreOptions } from "./store-options.ts";

const FORMATS = ["table", "csv", "json"] as const;
type Format = (typeof FORMATS)[number];

/** Characters of one column of the table. */
const CELL_CHARS_MAX = 60;

interface QueryFlags extends StoreFlags {
  readonly format?: Format;
  readonly limit: number;
}

/** Registers `esc query`. */
export function register(program: Command, context: CommandContext): void {
  const { output } = context;
  withStoreOptions(program.command("query"))
    .summary("ask the store by SQL")
    .description(
      "Run one SELECT over the store and print its rows. The database is opened read-only: nothing can be " +
        "changed. docs/stores.md lists the tables.",
    )
    .argument("<sql>", "one SELECT")
    .option("--format <format>", "table, csv or json (default: table on a terminal, else csv)", format)
    .option("--limit <rows>", "most rows", wholeNumber(1, 10_000_000), 1000)
    .addHelpText(
      "after",
      '\nExamples:\n  $ esc query "SELECT topic, count(*) FROM events GROUP BY topic"\n' +
        '  $ esc query --format csv "SELECT * FROM alerts ORDER BY raised_us DESC" > alerts.csv\n' +
        '  $ esc query --config config.yaml "SELECT * FROM last_values" --format json',
    )
    .action(async (sql: string, flags: QueryFlags) => {
      const { backend } = await chosenStore(flags, context);
      const { openReader } = await import("../src/store/open.ts");
      const reader = await openReader(backend);
      try {
        const result = await reader.select(sql, flags.limit);
        const chosen = output.json ? "json" : flags.format ?? (output.isTerminal ? "table" : "csv");
        for (const line of lines(result, chosen)) output.line(line);
        if (result.isCut) output.note(`only the first ${flags.limit} rows; --limit gives more`);
      } finally {
        await reader.close();
      }
    });
}

function format(text: string): Format {
  const found = FORMATS.find((name) => name === text);
  if (found === undefined) throw new InvalidArgumentError(`Expected one of ${FORMATS.join(", ")}.`);
  return found;
}

function lines({ columns, rows }: SelectResult, format: Format): string[] {
  if (format === "json") {
    return rows.map((row) =>
      JSON.stringify(Object.fromEntries(columns.map((name, index) => [name, plain(row[index])])))
    );
  }
  if (format === "csv") {
    return [columns.map(csv).join(","), ...rows.map((row) => row.map((value) => csv(text(value))).join(","))];
  }
  return table(columns, rows.map((row) => row.map((value) => cell(text(value)))));
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map((name, index) =>
    rows.reduce((width, row) => Math.max(width, row[index]?.length ?? 0), name.length)
  );
  const line = (cells: readonly string[]) =>
    cells.map((text, index) => text.padEnd(widths[index] ?? 0)).join("  ").trimEnd();
  return [line(columns), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)];
}

/** Bytes as text where they are UTF-8, else as `base64:...`; the rest as JSON has it. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (!(value instanceof Uint8Array)) return value ?? null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(value);
  } catch {
    return `base64:${Buffer.from(value).toString("base64")}`;
  }
}

function text(value: unknown): string {
  const shown = plain(value);
  if (shown === null) return "";
  if (shown instanceof Date) return shown.toISOString();
  return typeof shown === "object" ? JSON.stringify(shown) : String(shown);
}

/** RFC 4180. */
function csv(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function cell(text: string): string {
  // A terminal must not obey what an event says.
  // deno-lint-ignore no-control-regex
  const clean = text.replaceAll(/[\x00-\x1f\x7f-\x9f]/g, "·");
  return clean.length > CELL_CHARS_MAX ? `${clean.slice(0, CELL_CHARS_MAX - 1)}…` : clean;
}
