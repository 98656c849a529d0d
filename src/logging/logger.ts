/**
 * Structured logging: one line a message, JSON for machines or plain text for people, on one sink.
 *
 * Nothing is logged per event. A message with a `key` is written a few times in `repeatMs`; how many were held back
 * is told by the next one that gets through, or by `tellSuppressed()` when none comes. What events and clients say
 * cannot begin a line or colour a terminal: control characters are escaped. Main thread only: workers post their
 * messages (`LogMessage`) and main writes them.
 */

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Facts that belong to a message. Values must survive `JSON.stringify`. */
export type LogFields = Readonly<Record<string, unknown>>;

/** What a worker posts to have a line written. */
export interface LogMessage {
  readonly type: "log";
  readonly level: LogLevel;
  readonly message: string;
  readonly fields?: LogFields;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: "json" | "text";
  /** Receives whole lines, newline included. */
  readonly write: (line: string) => void;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: () => number;
  /** Within it a keyed message is written `burst` times at most. */
  readonly repeatMs: number;
  /**
   * `journal`: each line begins with its priority as `<n>`, which journald takes off, and text has no time, for the
   * journal has its own. `terminal`: levels in colour. Default: neither.
   */
  readonly sink?: "journal" | "terminal" | "plain";
}

/** Most keys whose repetition is tracked; beyond, the oldest is forgotten. */
const KEYS_MAX = 1000;

/** Priorities of syslog, as sd-daemon(3) has them. */
const PRIORITIES: Readonly<Record<LogLevel, number>> = { debug: 7, info: 6, warn: 4, error: 3 };
const COLOURS: Readonly<Record<LogLevel, number>> = { debug: 2, info: 36, warn: 33, error: 31 };

interface Repetition {
  quietUntilMs: number;
  written: number;
  suppressed: number;
  /** Of the one held back last. */
  level: LogLevel;
  message: string;
}

export class Logger {
  level: LogLevel;
  readonly #options: LoggerOptions;
  readonly #repetitions = new Map<string, Repetition>();

  constructor(options: LoggerOptions) {
    this.#options = options;
    this.level = options.level;
  }

  debug(message: string, fields: LogFields = {}): void {
    this.log("debug", message, fields);
  }

  info(message: string, fields: LogFields = {}): void {
    this.log("info", message, fields);
  }

  warn(message: string, fields: LogFields = {}): void {
    this.log("warn", message, fields);
  }

  error(message: string, fields: LogFields = {}): void {
    this.log("error", message, fields);
  }

  /** Writes one line, unless the level is off. */
  log(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(this.level)) return;
    this.#options.write(this.#line(level, message, fields));
  }

  /** The same, at most `burst` times in `repeatMs` for each key. */
  limited(key: string, level: LogLevel, message: string, fields: LogFields = {}, burst = 1): void {
    const nowMs = this.#options.nowMs();
    const repetition = this.#repetitions.get(key);
    if (repetition !== undefined && nowMs < repetition.quietUntilMs) {
      if (repetition.written < burst) {
        repetition.written++;
        this.log(level, message, fields);
      } else {
        repetition.suppressed++;
        repetition.level = level;
        repetition.message = message;
      }
      return;
    }
    const suppressed = repetition?.suppressed ?? 0;
    this.#repetitions.delete(key);
    if (this.#repetitions.size >= KEYS_MAX) {
      const oldest = this.#repetitions.keys().next();
      if (!oldest.done) this.#repetitions.delete(oldest.value);
    }
    const quietUntilMs = nowMs + this.#options.repeatMs;
    this.#repetitions.set(key, { quietUntilMs, written: 1, suppressed: 0, level, message });
    this.log(level, message, suppressed === 0 ? fields : { ...fields, suppressed });
  }

  /** Says of messages that have stopped coming how many of them were held back. For a timer, and before the end. */
  tellSuppressed({ isEnd = false } = {}): void {
    const nowMs = this.#options.nowMs();
    for (const [key, { quietUntilMs, suppressed, level, message }] of this.#repetitions) {
      if (!isEnd && nowMs < quietUntilMs) continue;
      this.#repetitions.delete(key);
      if (suppressed > 0) {
        this.log(level, "messages like this one were held back", { like: message, suppressed });
      }
    }
  }

  #line(level: LogLevel, message: string, fields: LogFields): string {
    const { format, sink = "plain" } = this.#options;
    const priority = sink === "journal" ? `<${PRIORITIES[level]}>` : "";
    const time = new Date(this.#options.nowMs()).toISOString();
    if (format === "json") return `${priority}${JSON.stringify({ time, level, msg: message, ...fields })}\n`;
    const facts = Object.entries(fields)
      .map(([name, value]) =>
        ` ${name}=${typeof value === "string" ? oneLine(value) : JSON.stringify(value)}`
      )
      .join("");
    const word = level.toUpperCase().padEnd(5);
    const shown = sink === "terminal" ? `\x1b[${COLOURS[level]}m${word}\x1b[0m` : word;
    return `${priority}${sink === "journal" ? "" : `${time} `}${shown} ${oneLine(message)}${facts}\n`;
  }
}

/** Text as it is, but for control characters: they could end the line, or act on a terminal. */
function oneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) => {
    const escaped = JSON.stringify(character).slice(1, -1);
    // JSON leaves DEL and the second block of control characters as they are.
    return escaped === character ? `\\u00${character.charCodeAt(0).toString(16)}` : escaped;
  });
}
