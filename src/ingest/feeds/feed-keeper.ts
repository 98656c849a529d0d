/**
 * Keeps one feed's figures over restarts: restores the newest checkpoint, catches up with the log, and writes a new
 * checkpoint now and then. The feed thread only.
 *
 *     checkpoint ─▶ trades and quotes of the log since ─▶ live messages; those of the time between are missing, and
 *                                                         the bars that cover it are incomplete
 *
 * A checkpoint is never ahead of the log: it is written when all events told before it are safe there.
 */
import { join } from "node:path";
import { checkpointText, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import type { FeedLines } from "./feed-lines.ts";
import { readLogTicks } from "./log-ticks.ts";
import type { ShardInfo } from "../../log/shard-state.ts";

/** Whether everything that was told by the time of a call is safe in the log; asked again and again. */
export type LogBarrier = () => () => boolean;

/** The same trouble is told once in so long. */
const TELL_MS = 60_000;

export class FeedKeeper {
  readonly #lines: FeedLines;
  readonly #path: string;
  readonly #warn: (message: string) => void;
  readonly #barrier: LogBarrier;
  /** A checkpoint that waits for the log. */
  #pending: { readonly text: string; readonly isSafe: () => boolean } | undefined;
  #dueMs = 0;
  #toldMs = -Infinity;
  #writing: Promise<void> | undefined;

  constructor(
    lines: FeedLines,
    { directory, barrier, warn }: {
      readonly directory: string;
      readonly barrier: LogBarrier;
      readonly warn: (message: string) => void;
    },
  ) {
    this.#barrier = barrier;
    this.#lines = lines;
    this.#path = join(directory, `${lines.spec.name}.json`);
    this.#warn = warn;
  }

  /** Brings the figures to where the log ends. Before the lines open. @returns Ticks taken from the log. */
  restore(shards: readonly ShardInfo[], nowMs: number): number {
    const { spec, venue, events } = this.#lines;
    if (spec.checkpointMs === 0 && spec.buffer === null) return 0;
    const state = spec.checkpointMs === 0 ? undefined : readCheckpoint(this.#path);
    if (state === "damaged") {
      this.#warn(
        `Checkpoint ${this.#path} is damaged or of another esc: the figures of ${spec.name} begin anew`,
      );
    }
    const usable = state === "damaged" ? undefined : state;
    if (usable !== undefined) this.#lines.restore(usable);
    const bufferUs = spec.buffer === null ? Infinity : (nowMs - spec.bufferAgeMs) * 1000;
    const fromUs = Math.min(usable?.savedUs ?? Infinity, bufferUs);
    if (fromUs === Infinity) return 0;
    const known = new Map(spec.symbols.map((name) => {
      const instrument = this.#lines.instrumentOf(name);
      return [instrument?.symbol, instrument];
    }));
    const count = readLogTicks({
      shards,
      venue: venue.name,
      fromUs,
      instrumentOf: (symbol) => known.get(symbol),
      handle: (message, json) => events.catchUp(message, json, usable?.savedUs ?? Infinity),
    });
    this.#lines.expectTradesAfter();
    return count;
  }

  /** Makes a checkpoint when one is due, and writes it when the log has come so far. */
  tick(nowMs: number): void {
    const { checkpointMs } = this.#lines.spec;
    if (checkpointMs === 0 || this.#writing !== undefined) return;
    if (this.#pending === undefined && nowMs >= this.#dueMs) {
      this.#dueMs = nowMs + checkpointMs;
      this.#make();
    }
    if (this.#pending?.isSafe() !== true) return;
    const { text } = this.#pending;
    this.#pending = undefined;
    this.#writing = this.#write(text, nowMs).finally(() => (this.#writing = undefined));
  }

  /** Makes the last checkpoint, of all there is: nothing comes any more. */
  finish(): void {
    if (this.#lines.spec.checkpointMs > 0) this.#make();
  }

  /** Nothing waits to be written any more. */
  get isSettled(): boolean {
    return this.#pending === undefined && this.#writing === undefined;
  }

  #make(): void {
    this.#pending = { text: checkpointText(this.#lines.save()), isSafe: this.#barrier() };
  }

  async #write(text: string, nowMs: number): Promise<void> {
    try {
      await writeCheckpoint(this.#path, text);
    } catch (error) {
      if (nowMs - this.#toldMs < TELL_MS) return;
      this.#toldMs = nowMs;
      this.#warn(`Cannot write checkpoint ${this.#path}: ${error instanceof Error ? error.message : error}`);
    }
  }
}
