/**
 * A replay's events as a file that a replay may go on with after a crash: what was written after the newest state
 * is cut off, so that the file ends up the same, byte by byte, as without the crash.
 *
 *     state   {"of":…,"lines":…,"bytes":…}\n<checkpoint of the figures>
 */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { EscError } from "../src/errors.ts";
import {
  checkpointText,
  type FeedState,
  parseCheckpoint,
  writeCheckpoint,
} from "../src/ingest/feeds/checkpoint.ts";

export interface ReplayPoint {
  /** Lines of the recording taken. */
  readonly lines: number;
  readonly state: FeedState;
}

export class ReplayOutput {
  readonly #file: number;
  readonly #statePath: string | undefined;
  readonly #of: string;
  #bytes = 0;
  /** Where an earlier replay got to; `undefined`: begin at the beginning. */
  readonly start: ReplayPoint | undefined;

  /**
   * @param of Tells this replay from others: its recording and options.
   * @throws {EscError} USAGE when the state belongs to another replay or cannot be read.
   */
  constructor(path: string, statePath: string | undefined, of: string) {
    this.#statePath = statePath;
    this.#of = of;
    const saved = statePath !== undefined && existsSync(statePath) ? readState(statePath, of) : undefined;
    this.start = saved;
    this.#file = openSync(path, saved === undefined ? "w" : "r+");
    this.#bytes = saved?.bytes ?? 0;
    ftruncateSync(this.#file, this.#bytes);
  }

  write(text: string): void {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length;) {
      at += writeSync(this.#file, bytes, at, bytes.length - at, this.#bytes + at);
    }
    this.#bytes += bytes.length;
  }

  /** All that was written belongs to this point. */
  async keep({ lines, state }: ReplayPoint): Promise<void> {
    if (this.#statePath === undefined) return;
    fdatasyncSync(this.#file);
    const head = JSON.stringify({ of: this.#of, lines, bytes: this.#bytes });
    await writeCheckpoint(this.#statePath, `${head}\n${checkpointText(state)}`);
  }

  /** Ends it. @param isWhole Nothing is left to go on with. */
  close(isWhole: boolean): void {
    fdatasyncSync(this.#file);
    closeSync(this.#file);
    if (isWhole && this.#statePath !== undefined) rmSync(this.#statePath, { force: true });
  }
}

function readState(path: string, of: string): ReplayPoint & { readonly bytes: number } {
  const text = readFileSync(path, "utf8");
  const end = text.indexOf("\n");
  const head: { of?: unknown; lines?: unknown; bytes?: unknown } = parseHead(text.slice(0, end));
  const state = parseCheckpoint(text.slice(end + 1));
  const { lines, bytes } = head;
  const hint = "Remove it to begin at the beginning";
  if (state === undefined || typeof lines !== "number" || typeof bytes !== "number") {
    throw new EscError("USAGE", `State ${path} is damaged or of another esc`, { hint });
  }
  if (head.of !== of) throw new EscError("USAGE", `State ${path} belongs to another replay`, { hint });
  return { lines, bytes, state };
}

function parseHead(text: string): object {
  try {
    const head: unknown = JSON.parse(text);
    return typeof head === "object" && head !== null ? head : {};
  } catch {
    return {};
  }
}
