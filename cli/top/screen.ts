/** The terminal while a view has it: another page of it, keys as they are pressed; given back however it ends. */
import { writeSync } from "node:fs";
import process from "node:process";

// https://invisible-island.net/xterm/ctlseqs/ctlseqs.html: other page, no cursor, no wrapping; and back.
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
/** Before a line is written: behind one as wide as the terminal it would take its last sign. */
const CLEAR_LINE = "\x1b[2K";
const CLEAR_BELOW = "\x1b[J";
const STDOUT = 1;

export interface ScreenEvents {
  key(bytes: Uint8Array): void;
  resize(): void;
}

export class Screen {
  #isOpen = false;
  readonly #events: ScreenEvents;
  // An error that nobody caught ends the process through exit: the terminal is given back there, too.
  readonly #close = () => this.close();
  readonly #resize = () => this.#events.resize();
  readonly #data = (bytes: Uint8Array) => this.#events.key(bytes);

  constructor(events: ScreenEvents) {
    this.#events = events;
  }

  get size(): { readonly columns: number; readonly rows: number } {
    return { columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 };
  }

  open(): void {
    this.#isOpen = true;
    process.on("exit", this.#close);
    process.stdout.on("resize", this.#resize);
    if (process.stdin.isTTY) {
      process.stdin.setRawMode(true);
      process.stdin.on("data", this.#data);
      process.stdin.resume();
    }
    write(ENTER);
  }

  /** @param lines Not wider than the terminal, and not more than it has rows. */
  draw(lines: readonly string[]): void {
    if (this.#isOpen) {
      write(`${HOME}${lines.map((text) => CLEAR_LINE + text).join("\r\n")}${CLEAR_BELOW}`);
    }
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.off("exit", this.#close);
    process.stdout.off("resize", this.#resize);
    process.stdin.off("data", this.#data);
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
    process.stdin.pause();
    write(LEAVE);
  }
}

/** All of it, now: at the end of a process nothing that waits would be written. */
function write(text: string): void {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length;) {
    try {
      written += writeSync(STDOUT, bytes, written);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      // The terminal was closed: there is nobody to show anything to.
      if (code === "EIO" || code === "EPIPE") return;
      if (code !== "EAGAIN") throw error;
      Bun.sleepSync(1);
    }
  }
}
