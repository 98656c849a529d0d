/**
 * Publishing NDJSON, however long: a batch of lines is published, and its verdicts awaited, before the next is read,
 * so a body costs the memory of a batch and is read as fast as it is stored.
 *
 *     body → lines → batch (BATCH_COUNT, BATCH_BYTES) → verdicts → tally
 */
import type { ErrorCode } from "../errors.ts";
import type { AcksName } from "../event/run.ts";
import { LineSplitter } from "./line-splitter.ts";
import type { ApiContext } from "./context.ts";
import { problemOf } from "./problem.ts";
import type { PublishOutcome, Submission } from "./publish-request.ts";
import { submissionOf, withheld } from "./submission.ts";
import { PublishTally } from "./publish-tally.ts";
import type { ApiRequest } from "./route.ts";

/** Lines that are published together, and their bytes. */
const BATCH_COUNT = 2000;
const BATCH_BYTES = 512 * 1024;
/** Bytes of one event's frame that are not its payload, at most. */
const FRAME_OVERHEAD_BYTES = 70_000;
/** How long a body waits for others to leave memory. */
const ROOM_WAIT_MS = 10_000;
const LOOK_MS = 5;
/** Refusals that the next batch would meet, too. */
const LASTING: readonly ErrorCode[] = ["QUEUE_FULL", "SHUTTING_DOWN", "TIMEOUT", "LOG_UNAVAILABLE"];

/** Publishes every line of the body. A line that is no event is refused by itself; those around it are published. */
export async function publishLines(
  context: ApiContext,
  call: ApiRequest,
  { acks, body }: {
    readonly acks: AcksName;
    readonly body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  },
): Promise<Response> {
  const lines = new LinePublisher(context, call, acks);
  try {
    for await (const chunk of body) {
      if (!await lines.take(chunk)) return lines.answer();
    }
    await lines.end();
    return lines.answer();
  } finally {
    lines.close();
  }
}

class LinePublisher {
  readonly #context: ApiContext;
  readonly #call: ApiRequest;
  readonly #acks: AcksName;
  readonly #tally: PublishTally;
  readonly #splitter: LineSplitter;
  #batch: Submission[] = [];
  #batchLines: number[] = [];
  #batchBytes = 0;
  #bytes = 0;
  #heldBytes = 0;
  #line = 0;
  #refusal: Response | undefined;

  constructor(context: ApiContext, call: ApiRequest, acks: AcksName) {
    this.#context = context;
    this.#call = call;
    this.#acks = acks;
    this.#tally = new PublishTally(acks);
    // Base64 and escapes make a line longer than its frame, up to sixfold.
    this.#splitter = new LineSplitter(context.engine.maxFrameBytes * 6 + FRAME_OVERHEAD_BYTES);
  }

  /** Takes the next bytes. @returns `false` when no more are to be read. */
  async take(chunk: Uint8Array): Promise<boolean> {
    const { maxNdjsonBytes } = this.#context;
    this.#bytes += chunk.length;
    if (maxNdjsonBytes !== null && this.#bytes > maxNdjsonBytes) return this.#tooLong(maxNdjsonBytes);
    if (!await this.#hold(chunk.length)) return false;
    for (const line of this.#splitter.split(chunk)) {
      this.#add(line);
      if (this.#isFull && !await this.#publish()) return false;
    }
    // What was published, or passed over, is not in memory any more.
    const done = this.#heldBytes - this.#batchBytes - this.#splitter.heldBytes;
    this.#context.bodies.release(done);
    this.#heldBytes -= done;
    return true;
  }

  /** The body has ended: what is left of it is its last line. */
  async end(): Promise<void> {
    const last = this.#splitter.rest();
    if (last !== "nothing") this.#add(last);
    await this.#publish();
  }

  answer(): Response {
    if (this.#refusal !== undefined && this.#tally.published === 0) return this.#refusal;
    return this.#tally.isEmpty ? problemOf("USAGE", "The body is empty") : this.#tally.answer();
  }

  /** Gives the memory of the body back. */
  close(): void {
    this.#context.bodies.release(this.#heldBytes);
    this.#heldBytes = 0;
  }

  get #isFull(): boolean {
    return this.#batch.length >= BATCH_COUNT || this.#batchBytes >= BATCH_BYTES;
  }

  #add(line: Uint8Array | "too long"): void {
    this.#line++;
    if (line !== "too long" && isBlank(line)) return;
    this.#batchLines.push(this.#line);
    if (line === "too long") {
      this.#batch.push({ problem: "Line is too long" });
      return;
    }
    const parsed = this.#context.bodies.parse(line);
    this.#batch.push(
      parsed.problem === undefined ? submissionOf(parsed.value) : { problem: parsed.problem },
    );
    this.#batchBytes += line.length;
  }

  /** Publishes the batch. @returns `false` when what follows would be refused as well. */
  async #publish(): Promise<boolean> {
    if (this.#batch.length === 0) return true;
    const { publisher } = this.#context;
    const submissions = withheld(this.#call.caller, this.#batch);
    await this.#pace(submissions.length);
    const outcomes = this.#tally.isEmpty
      ? await publisher.publish(submissions, this.#acks)
      : await publisher.publishMore(submissions, this.#acks);
    this.#tally.add(outcomes, this.#batchLines);
    this.#batch = [];
    this.#batchLines = [];
    this.#batchBytes = 0;
    if (!isLasting(outcomes)) return true;
    this.#tally.stop(this.#line);
    return false;
  }

  /** Waits as the caller's rate asks; the request's own beginning was judged before. */
  async #pace(count: number): Promise<void> {
    const { rate } = this.#call;
    if (rate === undefined) return;
    const { nowUs } = this.#context.meters;
    const waitMs = this.#tally.isEmpty ? 0 : rate.waitMs(nowUs());
    if (waitMs > 0) await Bun.sleep(waitMs);
    rate.take(nowUs(), count, this.#batchBytes);
  }

  /** Counts bytes among those of all bodies; waits for others to go. */
  async #hold(count: number): Promise<boolean> {
    const { bodies } = this.#context;
    const deadlineMs = Date.now() + (this.#tally.isEmpty ? 0 : ROOM_WAIT_MS);
    while (!bodies.hold(count)) {
      if (Date.now() >= deadlineMs) {
        this.#refusal = problemOf("QUEUE_FULL", "Too many requests are waiting: send it again later");
        this.#tally.stop(this.#line);
        return false;
      }
      await Bun.sleep(LOOK_MS);
    }
    this.#heldBytes += count;
    return true;
  }

  async #tooLong(bytesMax: number): Promise<boolean> {
    await this.#publish();
    this.#refusal = this.#context.bodies.tooLong(bytesMax);
    this.#tally.stop(this.#line);
    return false;
  }
}

function isLasting(outcomes: readonly PublishOutcome[]): boolean {
  return outcomes.every((outcome) => !outcome.ok && LASTING.includes(outcome.code));
}

function isBlank(line: Uint8Array): boolean {
  return line.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09);
}
