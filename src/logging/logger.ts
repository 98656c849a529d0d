/**
 * Structured logging: one line a message, JSON for machines or plain text for people, on one sink.
 *
 * Nothing is logged per event. A message with a `key` is written at most once per `repeatMs`; the
 * next one that gets through says how many were held back. Main thread only: workers post their
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
  /** Silence after a keyed message. */
  readonly repeatMs: number;
}

/** Most keys whose repetition is tracked; beyond, the oldest is forgotten. */
const KEYS_MAX = 1000;

interface Repetition {
  quietUntilMs: number;
  suppressed: number;
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

  /** The same, at most once per `repeatMs` for each key. */
  limited(key: string, level: LogLevel, message: string, fields: LogFields = {}): void {
    const nowMs = this.#options.nowMs();
    const repetition = this.#repetitions.get(key);
    if (repetition !== undefined && nowMs < repetition.quietUntilMs) {
      repetition.suppressed++;
      return;
    }
    const suppressed = repetition?.suppressed ?? 0;
    this.#repetitions.delete(key);
    if (this.#repetitions.size >= KEYS_MAX) {
      const oldest = this.#repetitions.keys().next();
      if (!oldest.done) this.#repetitions.delete(oldest.value);
    }
    this.#repetitions.set(key, { quietUntilMs: nowMs + this.#options.repeatMs, suppressed: 0 });
    this.log(level, message, suppressed === 0 ? fields : { ...fields, suppressed });
  }

  #line(level: LogLevel, message: string, fields: LogFields): string {
    const time = new Date(this.#options.nowMs()).toISOString();
    if (this.#options.format === "json") {
      return `${JSON.stringify({ time, level, msg: message, ...fields })}\n`;
    }
    const facts = Object.entries(fields)
      .map(([name, value]) => ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
      .join("");
    return `${time} ${level.toUpperCase().padEnd(5)} ${message}${facts}\n`;
  }
}
