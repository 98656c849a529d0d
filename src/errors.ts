/**
 * The one error type esc throws on purpose, and the one table that says what each code means
 * to a shell (exit status), to an HTTP client (status) and on the wire (`ERROR` frames carry the code).
 */

/** Stable error codes, and how each is shown to the outside. */
export const ERROR_CODES = {
  INTERNAL: { exit: 1, http: 500 },
  USAGE: { exit: 2, http: 400 },
  CONFIG_INVALID: { exit: 78, http: 400 },
  SERVER_UNREACHABLE: { exit: 69, http: 503 },
  ADDRESS_IN_USE: { exit: 1, http: 500 },
  /** The bytes cannot be an event: see `REJECT_REASONS` in `event/frame.ts` for the exact reason. */
  BAD_EVENT: { exit: 1, http: 400 },
  /** The length prefix is out of range: framing is lost and the connection is closed. */
  BAD_LENGTH: { exit: 1, http: 413 },
  BAD_CONTROL: { exit: 1, http: 400 },
  TOO_MANY_CONNECTIONS: { exit: 1, http: 503 },
  UNAUTHORIZED: { exit: 1, http: 401 },
  FORBIDDEN: { exit: 1, http: 403 },
  NOT_FOUND: { exit: 1, http: 404 },
  /** The lane is full and its overflow policy refused the event. */
  QUEUE_FULL: { exit: 1, http: 429 },
  RATE_LIMITED: { exit: 1, http: 429 },
  SHUTTING_DOWN: { exit: 1, http: 503 },
  TIMEOUT: { exit: 1, http: 504 },
  /** The log cannot be written (disk full, write or sync failed). */
  LOG_UNAVAILABLE: { exit: 1, http: 503 },
  LOG_CORRUPT: { exit: 1, http: 500 },
  LOG_VERSION: { exit: 1, http: 500 },
  STORE_UNAVAILABLE: { exit: 1, http: 503 },
  /** The store's schema is not the one this esc needs, or a migration was refused. */
  STORE_SCHEMA: { exit: 1, http: 503 },
  /** Another server works in the data directory. */
  DATA_LOCKED: { exit: 1, http: 500 },
  VERIFY_FAILED: { exit: 1, http: 500 },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** A failure with a stable code, a sentence for a person, and where possible what to do about it. */
export class EscError extends Error {
  override readonly name = "EscError";
  readonly code: ErrorCode;
  /** What the reader can do about it. */
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }

  /** Exit status of a command that fails with this error (sysexits.h where one fits). */
  get exitStatus(): number {
    return ERROR_CODES[this.code].exit;
  }

  /** HTTP status of a request that fails with this error. */
  get httpStatus(): number {
    return ERROR_CODES[this.code].http;
  }
}
