/**
 * The file source: follows one growing file and offers each line as an event.
 *
 *     durable ≤ offered ≤ read ≤ size
 *
 * A line ends with LF; what follows the last LF waits for its end. An empty line is an event with an
 * empty payload. A line that is too long for a frame is refused, counted as `bad_length`, and reading goes
 * on behind it. Rotation (rename and create) is followed after the old file is finished; a truncated file
 * is read from its start. After a crash reading resumes where everything before was durable, and message
 * ids keep the lines that are read twice from being stored twice.
 */
import { ACKS_DURABLE } from "../event/run.ts";
import { STATUS_FAILED } from "../queue/completions.ts";
import { CheckpointFile } from "./checkpoint.ts";
import { LineBuffer, LINES_NONE, LINES_TOO_LONG } from "./line-buffer.ts";
import { LineFrames } from "./line-frames.ts";
import type { Connection, ConnectionSink, Source } from "./source.ts";
import { TailedFile } from "./tailed-file.ts";

/** Runs offered and not yet durable: beyond this reading waits. */
const MARKS_MAX = 1024;
const CHECKPOINT_US = 1_000_000;
const RETRY_FAILED_MS = 1000;
const POLL_MS_MIN = 10;

export interface FileSourceOptions {
  /** Names the checkpoint; unique among the sources. */
  readonly name: string;
  readonly path: string;
  readonly topic: string;
  /** 0..4. */
  readonly priority: number;
  readonly pollIntervalMs: number;
  /** Whether a file never seen before is read from its start (default) or from its end. */
  readonly fromStart?: boolean;
}

export interface FileSourceParts {
  readonly source: Source;
  readonly checkpointsDirectory: string;
  readonly maxFrameBytes: number;
  readonly nowUs: () => number;
  /** Makes the thread's loop take a turn soon. */
  readonly wake: () => void;
  /** A file that cannot be read, or a checkpoint that cannot be written; tried again later. */
  readonly onProblem: (message: string, cause: unknown) => void;
}

export class FileSource implements ConnectionSink {
  readonly #options: FileSourceOptions;
  readonly #parts: FileSourceParts;
  readonly #checkpoints: CheckpointFile;
  #connection: Connection;
  #file: TailedFile | undefined;
  #frames: LineFrames | undefined;
  #epoch = 0;
  /** Whether a file has been followed already: the next one is new, so it is read from its start. */
  #hasFollowed = false;
  readonly #lines: LineBuffer;
  #rotationSeen = false;
  /** Pairs: number of a run's last event, and the place in the file behind it. */
  readonly #marks: number[] = [];
  #durableBytes = 0;
  #savedBytes = -1;
  #savedUs = 0;
  #failed = false;
  #isWaiting = false;
  /** The last step did something and did not see the end of the file. */
  #hasMore = false;
  #isStopped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastProblem = "";

  constructor(options: FileSourceOptions, parts: FileSourceParts) {
    this.#options = options;
    this.#parts = parts;
    this.#checkpoints = new CheckpointFile(parts.checkpointsDirectory, options.name);
    this.#connection = this.#connect();
    this.#lines = new LineBuffer(parts.maxFrameBytes);
    this.#step();
  }

  /** Whether `turn()` has something to try again: the engine had no room. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Goes on where the engine had no room. Call once a turn of the thread's loop. */
  turn(): void {
    if (this.#isWaiting) this.#step();
  }

  /** Stops reading; verdicts are still taken. */
  stop(): void {
    this.#isStopped = true;
    this.#isWaiting = false;
    clearTimeout(this.#timer);
  }

  /** Notes what is durable and lets the file go. */
  close(): void {
    this.stop();
    this.#save(true);
    this.#file?.close();
    this.#file = undefined;
    this.#parts.source.closeConnection(this.#connection);
  }

  progress(done: number): void {
    if (this.#failed) return;
    const marks = this.#marks;
    let taken = 0;
    while (taken < marks.length && (marks[taken] as number) <= done) {
      this.#durableBytes = marks[taken + 1] as number;
      taken += 2;
    }
    marks.splice(0, taken);
    this.#save(false);
  }

  problem(status: number, _detail: number, _firstSeq: number, _count: number): void {
    // Dropped events are dead letters: they are kept there. Failed ones are nowhere but in the file.
    if (status !== STATUS_FAILED || this.#failed) return;
    this.#failed = true;
    this.#isWaiting = false;
    this.#schedule(RETRY_FAILED_MS);
  }

  #connect(): Connection {
    const connection = this.#parts.source.openConnection("file", "durable", this);
    if (connection === undefined) throw new RangeError("No connection slot is free for a file");
    connection.acks = ACKS_DURABLE;
    return connection;
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer);
    if (!this.#isStopped) this.#timer = setTimeout(() => this.#step(), ms);
  }

  /** Reads and offers until the end of the file, or until there is no room. */
  #step(): void {
    if (this.#isStopped) return;
    clearTimeout(this.#timer);
    const pollMs = Math.max(POLL_MS_MIN, this.#options.pollIntervalMs);
    try {
      if (this.#failed) this.#startOver();
      this.#isWaiting = !this.#advance();
      this.#lastProblem = "";
    } catch (error) {
      this.#isWaiting = false;
      this.#report(`Cannot follow '${this.#options.path}'`, error);
    }
    this.#parts.source.publish();
    if (this.#isWaiting) return this.#parts.wake();
    // What is at the end of the file waits for the next poll; a full chunk means there is more.
    this.#schedule(this.#hasMore ? 0 : pollMs);
  }

  /** One chunk, or one change of file. @returns `false` when the engine has no room. */
  #advance(): boolean {
    this.#hasMore = false;
    const file = this.#file ?? this.#open();
    if (file === undefined) return true;
    if (!this.#offerLines(file)) return false;
    if (file.isReplaced()) return this.#changeFile();
    if (this.#lines.fill(file) > 0) {
      this.#rotationSeen = false;
      this.#hasMore = true;
      return this.#offerLines(file);
    }
    if (!file.isRotated(this.#options.path)) return true;
    // Its writer may still hold the old file open: it is finished when a whole poll brought nothing.
    if (!this.#rotationSeen) {
      this.#rotationSeen = true;
      return true;
    }
    return this.#offerLastLine(file) && this.#changeFile();
  }

  /** Opens the file: the one the checkpoint speaks of, else what the path names now. */
  #open(): TailedFile | undefined {
    const { path, fromStart = true } = this.#options;
    let file: TailedFile | undefined;
    if (!this.#hasFollowed) {
      const checkpoint = this.#checkpoints.read();
      this.#epoch = checkpoint?.epoch ?? 0;
      file = checkpoint && TailedFile.reopen(path, checkpoint);
      if (file === undefined) {
        file = TailedFile.open(path, ++this.#epoch, fromStart || checkpoint !== undefined);
      }
    } else {
      file = TailedFile.open(path, ++this.#epoch, true);
    }
    // Whatever appears later is newer than this process, so it is read whole.
    this.#hasFollowed = true;
    if (file === undefined) {
      this.#epoch--;
      return undefined;
    }
    this.#file = file;
    this.#lines.clear();
    this.#rotationSeen = false;
    this.#durableBytes = file.readBytes;
    this.#savedBytes = -1;
    const { name, topic, priority } = this.#options;
    this.#frames = new LineFrames({
      sourceName: name,
      topic,
      priority,
      inode: file.inode,
      epoch: file.epoch,
    });
    // Before its first line is offered: after a crash the same line must get the same id.
    this.#save(true);
    return file;
  }

  /** Leaves the file once all that was offered is durable. @returns `true`: waiting is left to the poll. */
  #changeFile(): boolean {
    if (this.#marks.length > 0) return true;
    this.#file?.close();
    this.#file = undefined;
    this.#hasMore = this.#open() !== undefined;
    return true;
  }

  /** After the log failed: everything that is not durable is read and offered again. */
  #startOver(): void {
    this.#failed = false;
    this.#parts.source.closeConnection(this.#connection);
    this.#connection = this.#connect();
    this.#marks.length = 0;
    this.#lines.clear();
    if (this.#file !== undefined) this.#file.readBytes = this.#durableBytes;
  }

  /** Offers all whole lines in the buffer. @returns `false` when there is no room. */
  #offerLines(file: TailedFile): boolean {
    const frames = this.#frames;
    if (frames === undefined) return true;
    for (;;) {
      if (this.#marks.length >= MARKS_MAX * 2 || this.#parts.source.isBlocked(this.#connection)) return false;
      const found = this.#lines.find(file, frames);
      if (found === LINES_NONE) return true;
      if (found === LINES_TOO_LONG) this.#parts.source.refuse(this.#connection, "bad_length");
      else if (!this.#offerRun()) return false;
      this.#accept(file);
    }
  }

  /** The last line of a file that was rotated away has no LF and will get none. */
  #offerLastLine(file: TailedFile): boolean {
    const frames = this.#frames;
    if (frames === undefined || this.#lines.findLast(file, frames) === LINES_NONE) return true;
    if (!this.#offerRun()) return false;
    this.#accept(file);
    return true;
  }

  #offerRun(): boolean {
    const { source, nowUs } = this.#parts;
    const { run, runBytes, count } = this.#lines;
    return source.offer(this.#connection, run, 0, runBytes, count, nowUs(), true);
  }

  #accept(file: TailedFile): void {
    this.#lines.accept();
    this.#marks.push(this.#connection.seq, this.#lines.place(file));
  }

  /** Writes the checkpoint if it has moved, at most once a second unless `isDue`. */
  #save(isDue: boolean): void {
    const file = this.#file;
    if (file === undefined || this.#savedBytes === this.#durableBytes) return;
    const nowUs = this.#parts.nowUs();
    if (!isDue && nowUs - this.#savedUs < CHECKPOINT_US) return;
    this.#savedUs = nowUs;
    try {
      this.#checkpoints.write(file.checkpoint(this.#durableBytes));
      this.#savedBytes = this.#durableBytes;
    } catch (error) {
      this.#report(`Cannot write checkpoint '${this.#checkpoints.path}'`, error);
    }
  }

  /** Once per problem, not once per poll. */
  #report(message: string, cause: unknown): void {
    const text = `${message}: ${cause instanceof Error ? cause.message : String(cause)}`;
    if (text === this.#lastProblem) return;
    this.#lastProblem = text;
    this.#parts.onProblem(message, cause);
  }
}
