/** What became of the events of one publish request: counts of all, details of as many as an answer can hold. */
import type { z } from "zod";
import { ERROR_CODES, type ErrorCode } from "../errors.ts";
import type { AcksName } from "../event/run.ts";
import { problemOf } from "./problem.ts";
import type { PublishOutcome } from "./publish-request.ts";
import { resultOf } from "./submission.ts";
import { json } from "./route.ts";
import type { publishAnswer, publishResult } from "./schemas.ts";

/** Results in one answer. */
export const RESULTS_MAX = 100_000;
/** Failures that are named by their line. */
export const ERRORS_MAX = 100;

export class PublishTally {
  readonly #acks: AcksName;
  readonly #results: z.infer<typeof publishResult>[] = [];
  readonly #errors: { line: number; code: ErrorCode; message: string }[] = [];
  #published = 0;
  #failed = 0;
  #stoppedAt: number | undefined;
  /** The failure of all events so far; `undefined` when they differ. */
  #shared: Extract<PublishOutcome, { ok: false }> | undefined;

  constructor(acks: AcksName) {
    this.#acks = acks;
  }

  get isEmpty(): boolean {
    return this.#published + this.#failed === 0;
  }

  get published(): number {
    return this.#published;
  }

  /** @param lines Line of each outcome, from 1; absent where there are no lines. */
  add(outcomes: readonly PublishOutcome[], lines: readonly number[] = []): void {
    for (const [index, outcome] of outcomes.entries()) {
      if (!outcome.ok) {
        const isFirst = this.isEmpty;
        if (isFirst || this.#shared?.code !== outcome.code) this.#shared = isFirst ? outcome : undefined;
        this.#failed++;
        const line = lines[index];
        if (line !== undefined && this.#errors.length < ERRORS_MAX) {
          this.#errors.push({ line, code: outcome.code, message: outcome.message });
        }
      } else {
        this.#shared = undefined;
        this.#published++;
      }
      if (this.#results.length < RESULTS_MAX) this.#results.push(resultOf(outcome));
    }
  }

  /** Lines behind this one were not looked at. */
  stop(line: number): void {
    this.#stoppedAt ??= line;
  }

  answer(): Response {
    const shared = this.#shared;
    // Nothing got through, for a reason that is not the events' own: the client must come again.
    if (shared !== undefined && (ERROR_CODES[shared.code].http !== 400 || this.#failed === 1)) {
      return problemOf(shared.code, shared.message);
    }
    const answer: z.infer<typeof publishAnswer> = {
      acks: this.#acks,
      published: this.#published,
      failed: this.#failed,
      results: this.#results,
      ...(this.#errors.length === 0 ? {} : { errors: this.#errors }),
      ...(this.#stoppedAt === undefined ? {} : { stopped_at_line: this.#stoppedAt }),
    };
    return json(answer);
  }
}
