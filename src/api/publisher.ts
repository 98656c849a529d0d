/**
 * Publishing from the main thread: one request after the other takes its events to the dispatcher.
 *
 * Each request is a connection of its own at the source, so requests do not wait for each other. What
 * waits is bounded: PENDING_MAX requests, ACK_TIMEOUT_MS each.
 */
import { type Listener, PRIORITY_BATCH } from "../event/frame.ts";
import type { AcksName } from "../event/run.ts";
import type { Connection } from "../ingest/source.ts";
import {
  ACK_TIMEOUT_MS,
  type PublisherOptions,
  type PublishOutcome,
  PublishRequest,
  refused,
  type Submission,
} from "./publish-request.ts";

/** Requests whose verdicts are awaited at the same time. */
export const PENDING_MAX = 1024;
const LOOK_MS = 2;

export class Publisher {
  readonly #options: PublisherOptions;
  #isClosed = false;
  #pending = 0;
  /** Connections of waiting requests by destination; the newest where there are several. */
  readonly #waiting = new Map<string, Connection>();

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Requests that wait for a verdict. */
  get pendingCount(): number {
    return this.#pending;
  }

  /** Refuses everything from now on; what waits goes on. */
  close(): void {
    this.#isClosed = true;
  }

  /**
   * Publishes events in their order and waits for their verdicts.
   *
   * @param acks `none`: settles as soon as all are in the ring.
   * @param listener Where they came from, for the counters.
   * @returns One outcome an event, in the same order. An event whose verdict did not come in time is
   *   answered `TIMEOUT`: it may still be stored, so send it again with a message id.
   */
  publish(
    submissions: readonly Submission[],
    acks: AcksName,
    listener: Listener = "http",
  ): Promise<readonly PublishOutcome[]> {
    return this.#publish(submissions, acks, { listener, isPatient: false });
  }

  /** The next events of a request that has published some: waits for room, up to ACK_TIMEOUT_MS, before it refuses. */
  async publishMore(
    submissions: readonly Submission[],
    acks: AcksName,
  ): Promise<readonly PublishOutcome[]> {
    const deadlineMs = Date.now() + ACK_TIMEOUT_MS;
    while (!this.#isClosed && this.#isFull(submissions[0]) && Date.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return await this.#publish(submissions, acks, { listener: "http", isPatient: true });
  }

  #isFull(first: Submission | undefined): boolean {
    const earlier = this.#waiting.get(destinationOf(first));
    // What goes the same way would wait behind a full lane, too.
    return this.#pending >= PENDING_MAX ||
      (earlier !== undefined && this.#options.source.isBlocked(earlier));
  }

  #publish(
    submissions: readonly Submission[],
    acks: AcksName,
    { listener, isPatient }: { readonly listener: Listener; readonly isPatient: boolean },
  ): Promise<readonly PublishOutcome[]> {
    const { source } = this.#options;
    if (this.#isClosed) {
      const outcome = refused("SHUTTING_DOWN", "The server is shutting down");
      return Promise.resolve(submissions.map(() => outcome));
    }
    const destination = destinationOf(submissions[0]);
    const request = new PublishRequest(submissions, { ...this.#options, isPatient });
    const connection = this.#isFull(submissions[0])
      ? undefined
      : source.openConnection(listener, acks, request);
    if (connection === undefined) {
      const outcome = refused("QUEUE_FULL", "The queue is full: send the events again later");
      return Promise.resolve(submissions.map(() => outcome));
    }
    this.#pending++;
    this.#waiting.set(destination, connection);
    return request.run(connection, acks).finally(() => {
      this.#pending--;
      if (this.#waiting.get(destination) === connection) this.#waiting.delete(destination);
      source.closeConnection(connection);
    });
  }
}

/** What decides where an event goes, as far as it is known here: topic and priority. */
function destinationOf(submission: Submission | undefined): string {
  if (submission === undefined || !("topic" in submission)) return "";
  return `${submission.priority ?? PRIORITY_BATCH} ${submission.topic}`;
}
