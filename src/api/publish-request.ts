/**
 * One publish request: its events go into main's source ring, and its answer waits for their verdicts.
 *
 * A request's events are numbered by its connection; `#places` says which of them each number means.
 */
import type { ErrorCode } from "../errors.ts";
import { encodeFrame, eventProblem, type OutgoingEvent } from "../event/encode.ts";
import { hasId } from "../event/ext.ts";
import { type RejectReason, TOPIC_BYTES_MAX } from "../event/frame.ts";
import { type AcksName, RUN_BYTES_MAX } from "../event/run.ts";
import type { Connection, ConnectionSink, Source } from "../ingest/source.ts";
import { verdictReport } from "../ingest/verdict.ts";
import type { ShardInfo } from "../log/shard-state.ts";
import { STATUS_DUPLICATE } from "../queue/completions.ts";

/** A verdict that takes longer: the lane is blocked or its disk is. */
export const ACK_TIMEOUT_MS = 10_000;

/** What became of one event. */
export type PublishOutcome =
  | {
    readonly ok: true;
    /** Where it lies; known once it is durable. */
    readonly lane?: string;
    readonly shard?: number;
    readonly offset?: number;
    /** Its message id was seen before: it was stored then. */
    readonly duplicate?: true;
  }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

export interface PublisherOptions {
  readonly source: Source;
  readonly shards: readonly ShardInfo[];
  readonly maxFrameBytes: number;
  readonly nowUs: () => number;
  /** Makes a turn come soon: verdicts may be waiting. */
  readonly wake: () => void;
}

export interface PublishRequestOptions extends PublisherOptions {
  /** It goes on with what others have begun: its first run waits for room like the later ones. */
  readonly isPatient: boolean;
}

/** An event as the request describes it, a frame that was checked before, or why it is no event. */
export type Submission =
  | OutgoingEvent
  | { readonly frame: Uint8Array }
  | { readonly problem: string }
  /** Its sender may not publish to this topic. */
  | { readonly forbidden: string };

/** One request's way through the engine. Used once. */
export class PublishRequest implements ConnectionSink {
  readonly #submissions: readonly Submission[];
  readonly #options: PublishRequestOptions;
  readonly #outcomes: (PublishOutcome | undefined)[];
  /** Place in the request of event number n + 1 of the connection. */
  readonly #places: number[] = [];
  #done = 0;
  #settle: (() => void) | undefined;

  constructor(submissions: readonly Submission[], options: PublishRequestOptions) {
    this.#submissions = submissions;
    this.#options = options;
    this.#outcomes = new Array<PublishOutcome | undefined>(submissions.length).fill(undefined);
  }

  async run(connection: Connection, acks: AcksName): Promise<readonly PublishOutcome[]> {
    await this.#offerAll(connection);
    if (acks !== "none" && this.#done < this.#places.length) await this.#verdicts();
    const isDone = acks === "none" ? this.#places.length : this.#done;
    for (const [index, place] of this.#places.entries()) {
      this.#outcomes[place] ??= index < isDone
        ? { ok: true }
        : refused("TIMEOUT", "No verdict in time: the event may still be stored");
    }
    return this.#outcomes.map((outcome) => outcome ?? refused("INTERNAL", "The event has no verdict"));
  }

  // ConnectionSink: called by `Source.poll()`.

  progress(done: number): void {
    this.#done = done;
    if (done >= this.#places.length) this.#settle?.();
  }

  problem(status: number, detail: number, firstSeq: number, count: number): void {
    const { code, message } = verdictReport(status, detail, firstSeq, count);
    for (let seq = firstSeq; seq < firstSeq + count; seq++) this.#set(seq, refused(code, message));
  }

  /** Events firstSeq..firstSeq+count-1 lie in the log, or lay there already. */
  stored(status: number, firstSeq: number, count: number, offset: number, shardIndex: number): void {
    const shard = this.#options.shards[shardIndex];
    if (shard === undefined) return;
    for (let index = 0; index < count; index++) {
      this.#set(firstSeq + index, {
        ok: true,
        lane: shard.lane,
        shard: shard.shard,
        ...(offset < 0 ? {} : { offset: offset + index }),
        ...(status === STATUS_DUPLICATE ? { duplicate: true as const } : {}),
      });
    }
  }

  #set(seq: number, outcome: PublishOutcome): void {
    const place = this.#places[seq - 1];
    if (place !== undefined) this.#outcomes[place] = outcome;
  }

  /** Hands everything that is an event to the ring, in runs; waits for room between runs. */
  async #offerAll(connection: Connection): Promise<void> {
    const { source } = this.#options;
    let frames: Uint8Array[] = [];
    let places: number[] = [];
    let runBytes = 0;
    let hasIds = false;
    const flush = async () => {
      if (frames.length === 0) return;
      if (!await this.#offer(connection, frames, places, hasIds)) {
        const outcome = refused("QUEUE_FULL", "The queue is full: send the event again later");
        for (const place of places) this.#outcomes[place] = outcome;
      }
      frames = [];
      places = [];
      runBytes = 0;
      hasIds = false;
    };
    for (const [place, submission] of this.#submissions.entries()) {
      if ("forbidden" in submission) {
        source.countRejected(connection.listener, "forbidden", 1);
        const message = `No permission to publish to "${submission.forbidden.slice(0, 255)}"`;
        this.#outcomes[place] = refused("FORBIDDEN", message);
        continue;
      }
      const problem = this.#problemOf(submission);
      if (problem !== undefined || "problem" in submission) {
        source.countRejected(connection.listener, reasonOf(submission), 1);
        this.#outcomes[place] = refused("BAD_EVENT", problem ?? "Not an event");
        continue;
      }
      const frame = "frame" in submission ? submission.frame : encodeFrame(submission);
      if (runBytes + frame.length > RUN_BYTES_MAX) await flush();
      frames.push(frame);
      places.push(place);
      runBytes += frame.length;
      hasIds ||= hasId(frame, 0);
    }
    await flush();
  }

  #problemOf(submission: Exclude<Submission, { readonly forbidden: string }>): string | undefined {
    if ("problem" in submission) return submission.problem;
    if ("frame" in submission) return undefined;
    return eventProblem(submission, this.#options.maxFrameBytes);
  }

  /**
   * Offers one run. The first run of a request is refused at once when there is no room, so that the
   * client hears of backpressure; later ones wait for it, so that a request is not cut in two.
   */
  async #offer(
    connection: Connection,
    frames: readonly Uint8Array[],
    places: readonly number[],
    hasIds: boolean,
  ): Promise<boolean> {
    const { source, nowUs, isPatient } = this.#options;
    const bytes = Buffer.concat(frames);
    const isFirst = !isPatient && this.#places.length === 0;
    const deadlineMs = Date.now() + ACK_TIMEOUT_MS;
    for (;;) {
      const isHeld = !isFirst && source.isBlocked(connection);
      if (!isHeld && source.offer(connection, bytes, 0, bytes.length, frames.length, nowUs(), hasIds)) {
        // Before the run is visible: its verdicts may come at once.
        this.#places.push(...places);
        source.publish();
        return true;
      }
      if (isFirst || Date.now() >= deadlineMs) return false;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  #verdicts(): Promise<void> {
    this.#options.wake();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ACK_TIMEOUT_MS);
      this.#settle = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#done >= this.#places.length) this.#settle();
    });
  }
}

/** The outcome of an event that was not taken. */
export function refused(code: ErrorCode, message: string): PublishOutcome {
  return { ok: false, code, message };
}

/** The counter a refused event belongs to. */
function reasonOf(submission: Submission): RejectReason {
  if (!("topic" in submission)) return "bad_ext";
  const topicBytes = Buffer.byteLength(submission.topic);
  if (topicBytes < 1 || topicBytes > TOPIC_BYTES_MAX) return "bad_topic_length";
  if (!submission.topic.isWellFormed()) return "bad_topic_utf8";
  const priority = submission.priority ?? 0;
  if (!Number.isInteger(priority) || priority < 0 || priority > 4) return "bad_priority";
  const { id, key, timeUs } = submission;
  const isExtBad = (id !== undefined && (id === "" || Buffer.byteLength(id) > 64)) || key?.length === 0 ||
    (timeUs !== undefined && !Number.isSafeInteger(timeUs));
  return isExtBad ? "bad_ext" : "bad_length";
}
