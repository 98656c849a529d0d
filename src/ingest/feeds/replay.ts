/**
 * A recording through the same feed as a live line, on the recorded clock: the same recording gives the same events,
 * byte by byte, at whatever pace.
 *
 * The feed connects to no socket but to the recording: its texts come at their recorded times, its snapshots are the
 * recorded answers, and no random number and no clock of ours is in it.
 */
import type { EventSink } from "./instrument-events.ts";
import type { FeedState } from "./checkpoint.ts";
import { FeedLines } from "./feed-lines.ts";
import type { LineSocket } from "./line.ts";
import type { SimulatedLine } from "./simulator.ts";
import type { RestAnswer } from "./snapshot-queue.ts";
import type { FeedSpec } from "./spec.ts";

/** Time between two ticks of the feed on the recorded clock. */
const TICK_US = 50_000;
/** Ticks made up for a silence in the recording; a longer one is passed over. */
const TICKS_MAX = 2_000;

export class Replay {
  readonly #lines: FeedLines;
  readonly #answers = new Map<string, string>();
  readonly #asked = new Map<string, (answer: RestAnswer) => void>();
  #socket: LineSocket | undefined;
  #nowUs = NaN;
  #tickedUs = NaN;

  constructor(spec: FeedSpec, sink: EventSink) {
    this.#lines = new FeedLines(
      { ...spec, url: "ws://recording/", backupUrl: null, snapshotUrl: "{symbol}" },
      sink,
      {
        nowUs: () => this.#nowUs,
        random: () => 0,
        isRecorded: true,
        openSocket: () => (this.#socket = silentSocket()),
        fetchText: (symbol) => this.#snapshot(decodeURIComponent(symbol)),
      },
    );
  }

  /** Takes the next line of the recording. */
  async take(line: SimulatedLine): Promise<void> {
    if (Number.isNaN(this.#nowUs)) this.#start(line.receivedUs);
    this.#advance(line.receivedUs);
    if (line.snapshotOf === undefined) {
      this.#socket?.onmessage?.(new MessageEvent("message", { data: line.text }));
      return;
    }
    const asked = this.#asked.get(line.snapshotOf);
    this.#asked.delete(line.snapshotOf);
    if (asked === undefined) this.#answers.set(line.snapshotOf, line.text);
    else asked({ status: 200, text: line.text, retryAfterMs: 0 });
    // The feed takes the answer before the next line, as it did when it was recorded.
    await new Promise((resolve) => setImmediate(resolve));
  }

  /**
   * Passes over what an earlier replay has told: books follow the lines, the figures wait for `resume()`.
   *
   * A book cannot be restored half-way (updates may be waiting for a snapshot), but its lines are all there.
   */
  passOver(): void {
    this.#lines.events.isMuted = true;
  }

  /** Goes on from a saved state, after as many lines as had been taken when it was saved. */
  resume(state: FeedState): void {
    this.#lines.restore(state);
    this.#lines.events.isMuted = false;
  }

  /** The figures after the lines taken so far. */
  save(): FeedState {
    return this.#lines.save();
  }

  /** The end of the recording: gives out the bars that are still open. */
  finish(): void {
    this.#lines.events.flush();
    this.#lines.stop();
  }

  #start(nowUs: number): void {
    this.#nowUs = this.#tickedUs = nowUs;
    this.#lines.start(nowUs / 1000);
    this.#socket?.onopen?.(new Event("open"));
  }

  /** Ticks at multiples of the same step, so that what is due falls on the same times in every replay. */
  #advance(nowUs: number): void {
    if (nowUs - this.#tickedUs > TICK_US * TICKS_MAX) this.#tickedUs = nowUs - TICK_US * TICKS_MAX;
    while (this.#tickedUs + TICK_US <= nowUs) {
      this.#tickedUs += TICK_US;
      this.#nowUs = Math.max(this.#nowUs, this.#tickedUs);
      this.#lines.tick(this.#nowUs / 1000);
    }
    this.#nowUs = Math.max(this.#nowUs, nowUs);
  }

  #snapshot(symbol: string): Promise<RestAnswer> {
    const text = this.#answers.get(symbol);
    this.#answers.delete(symbol);
    if (text !== undefined) return Promise.resolve({ status: 200, text, retryAfterMs: 0 });
    return new Promise((resolve) => this.#asked.set(symbol, resolve));
  }
}

function silentSocket(): LineSocket {
  return { send() {}, close() {}, onopen: null, onclose: null, onerror: null, onmessage: null };
}
