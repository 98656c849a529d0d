/**
 * How commands speak: results to stdout, everything else to stderr; text for people, JSON with `--json`.
 *
 * Writes are synchronous, so a slow reader of stdout slows the command instead of growing its memory, and
 * nothing is lost when the process ends right after. When the reader is gone (EPIPE) the process ends
 * quietly with 0: `esc tail … | head -1` is not a failure.
 */
import { writeSync } from "node:fs";
import { EscError } from "../src/errors.ts";

const STDOUT = 1;
const STDERR = 2;

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

/** What the terminal is like, and who ends the process. */
export interface OutputOptions {
  readonly stdoutIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  exit(status: number): never;
}

/** Prints a command's results, notes and errors. Main thread only. */
export class Output {
  readonly #options: OutputOptions;
  readonly #colour: boolean;
  readonly #errorColour: boolean;
  #json = false;
  #progressShown = false;

  constructor(options: OutputOptions) {
    this.#options = options;
    // https://no-color.org: set and not empty, whatever the value.
    const wanted = (options.env["NO_COLOR"] ?? "") === "" && options.env["TERM"] !== "dumb";
    this.#colour = wanted && options.stdoutIsTerminal;
    this.#errorColour = wanted && options.stderrIsTerminal;
  }

  /** Whether `--json` was given: results are JSON, one value a line. */
  get json(): boolean {
    return this.#json;
  }

  /** Called once by `cli/esc.ts` after parsing, before the command's action. */
  useJson(): void {
    this.#json = true;
  }

  /** Whether stdout is a terminal: tables and colour are for people only. */
  get isTerminal(): boolean {
    return this.#options.stdoutIsTerminal;
  }

  /** Whether `style()` changes anything. */
  get isColoured(): boolean {
    return this.#colour;
  }

  /** Prints one result, or one record of a stream: `value` as a JSON line, or what `text` makes of it. */
  result(value: unknown, text: () => string): void {
    this.line(this.#json ? JSON.stringify(value) : text());
  }

  /** Writes one line to stdout. */
  line(text: string): void {
    this.bytes(Buffer.from(`${text}\n`));
  }

  /** Writes bytes to stdout as they are. Returns when all are written. */
  bytes(bytes: Uint8Array): void {
    this.#clearProgress();
    this.#write(STDOUT, bytes);
  }

  /** Writes one line to stderr: what the reader of stdout must not see. */
  note(text: string): void {
    this.#clearProgress();
    this.#write(STDERR, Buffer.from(`${text}\n`));
  }

  /** Replaces the progress line. Shown only when stderr is a terminal and `--json` is off. */
  progress(text: string): void {
    if (!this.#options.stderrIsTerminal || this.#json) return;
    this.#progressShown = true;
    this.#write(STDERR, Buffer.from(`\r\x1b[K${text}`));
  }

  /** Wraps text in a terminal style when stdout is a terminal that wants it. */
  style(style: keyof typeof STYLES, text: string): string {
    return this.#colour ? paint(style, text) : text;
  }

  /**
   * Reports why a command failed, on stderr.
   *
   * An `EscError` is for people: its message, its hint and its causes. Anything else is a bug: name and
   * message, and the stack with `ESC_DEBUG=1` only, as the stack shows minified source in the executable.
   *
   * @returns The exit status that fits.
   */
  failure(error: unknown): number {
    const known = error instanceof EscError ? error : undefined;
    if (this.#json) {
      const { code, hint } = known ?? { code: "INTERNAL", hint: undefined };
      this.note(
        JSON.stringify({ error: { code, message: messageOf(error), hint, causes: causesOf(error) } }),
      );
    } else {
      const label = this.#errorColour ? paint("red", "error:") : "error:";
      this.note(`${label} ${messageOf(error)}`);
      for (const cause of causesOf(error)) this.note(`  cause: ${cause}`);
      if (known?.hint !== undefined) this.note(`  hint: ${known.hint}`);
    }
    if (this.#options.env["ESC_DEBUG"] === "1" && error instanceof Error && error.stack !== undefined) {
      this.note(error.stack);
    }
    return known?.exitStatus ?? 1;
  }

  #clearProgress(): void {
    if (!this.#progressShown) return;
    this.#progressShown = false;
    this.#write(STDERR, Buffer.from("\r\x1b[K"));
  }

  #write(descriptor: number, bytes: Uint8Array): void {
    let written = 0;
    while (written < bytes.length) {
      try {
        written += writeSync(descriptor, bytes, written);
      } catch (error) {
        const code = error instanceof Error && "code" in error ? error.code : undefined;
        if (code === "EPIPE") this.#options.exit(0);
        if (code !== "EAGAIN") throw error;
        // Somebody made the pipe non-blocking and it is full: look again in a millisecond.
        Bun.sleepSync(1);
      }
    }
  }
}

function paint(style: keyof typeof STYLES, text: string): string {
  return `\x1b[${STYLES[style]}m${text}\x1b[0m`;
}

function messageOf(error: unknown): string {
  if (error instanceof EscError) return error.message;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** Messages of the causes below an error, outermost first; at most eight, as causes may form a circle. */
function causesOf(error: unknown): string[] {
  const messages: string[] = [];
  let cause = error instanceof Error ? error.cause : undefined;
  while (cause !== undefined && messages.length < 8) {
    messages.push(messageOf(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return messages;
}
