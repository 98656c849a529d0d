/**
 * What a server tells `esc top`: the live stream, kept open and resumed, and every few seconds the answers that are
 * not part of it. Holds a bounded past.
 */
import type { LiveState } from "../../src/api/live-state.ts";
import type { LiveAlert } from "../../src/dashboard/live/alerts.ts";
import { readMessages, type ServerMessage } from "../../src/dashboard/live/sse.ts";
import type { Hello } from "../../src/dashboard/live/source.ts";
import { append, EMPTY, type Row, type Timeline } from "../../src/dashboard/live/timeline.ts";
import { EscError } from "../../src/errors.ts";
import { getJson, getText, type HttpAddress, openStream } from "../server-options.ts";
import type { Poll, Seen } from "./figures.ts";

const POLL_MS = 2_000;
const RETRY_MS = 1_000;
/** The server sends a row every second: after so long in silence it is gone, whatever TCP says. */
const SILENCE_MS = 6_000;
const ALERTS_MAX = 200;
const TOPICS_MAX = 1_000;
/** As long as sparklines are, and a little more. */
const ROWS_MAX = 120;

export interface Connection {
  readonly isLive: boolean;
  /** Why not; empty while it is. */
  readonly reason: string;
  readonly sinceMs: number;
}

export class Feed {
  connection: Connection = { isLive: false, reason: "connecting", sinceMs: Date.now() };
  readonly #address: HttpAddress;
  readonly #ended = new AbortController();
  readonly #onChange: () => void;
  #hello: Hello | undefined;
  #state: LiveState | undefined;
  #timeline: Timeline = EMPTY;
  #alerts: readonly LiveAlert[] = [];
  #polls: readonly Poll[] = [];
  #lastId: string | undefined;

  constructor(address: HttpAddress, onChange: () => void) {
    this.#address = address;
    this.#onChange = onChange;
  }

  /** Everything that is known; `undefined` before the first row. */
  get seen(): Seen | undefined {
    if (this.#hello === undefined || this.#state === undefined || this.#timeline.rows.length === 0) {
      return undefined;
    }
    return {
      hello: this.#hello,
      state: this.#state,
      timeline: this.#timeline,
      alerts: this.#alerts,
      polls: this.#polls,
    };
  }

  /** Follows the server until `end()`. Rejects when the first connection cannot be made. */
  async run(): Promise<void> {
    const polling = this.#pollOnAndOn();
    try {
      await this.#follow();
    } catch (error) {
      if (this.seen === undefined) {
        this.end();
        throw error;
      }
      this.#lose(error);
    }
    while (!this.#ended.signal.aborted) {
      await this.#pause(RETRY_MS);
      if (this.#ended.signal.aborted) break;
      await this.#follow().catch((error: unknown) => this.#lose(error));
    }
    await polling;
  }

  end(): void {
    this.#ended.abort();
  }

  async #follow(): Promise<void> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    const signal = AbortSignal.any([this.#ended.signal, silence.signal]);
    try {
      const headers: Record<string, string> = { accept: "text/event-stream" };
      if (this.#lastId !== undefined) headers["last-event-id"] = this.#lastId;
      for await (
        const message of readMessages(await openStream(this.#address, "/api/v1/live", { headers, signal }))
      ) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        this.#take(message);
      }
      if (!this.#ended.signal.aborted) this.#lose(new Error("the server ended the stream"));
    } catch (error) {
      if (this.#ended.signal.aborted) return;
      throw silence.signal.aborted ? new Error(`nothing came for ${SILENCE_MS / 1000} s`) : error;
    } finally {
      clearTimeout(timer);
    }
  }

  #take({ event, data, id }: ServerMessage): void {
    if (id !== undefined) this.#lastId = id;
    if (event === "hello") this.#greet(JSON.parse(data) as Hello);
    else if (event === "rows") {
      const { columns, rows } = append(this.#timeline, JSON.parse(data) as Row[]);
      this.#timeline = { columns, rows: rows.slice(-ROWS_MAX) };
    } else if (event === "state") this.#state = JSON.parse(data) as LiveState;
    else if (event === "alert") this.#merge([JSON.parse(data) as LiveAlert]);
    if (!this.connection.isLive) this.connection = { isLive: true, reason: "", sinceMs: Date.now() };
    this.#onChange();
  }

  /** What was measured before a restart stays, if the same is measured again. */
  #greet(hello: Hello): void {
    const isSame = JSON.stringify(hello.columns) === JSON.stringify(this.#timeline.columns);
    if (!isSame) this.#timeline = { ...EMPTY, columns: hello.columns };
    this.#hello = hello;
  }

  #merge(more: readonly LiveAlert[]): void {
    const known = new Set(this.#alerts.map(({ id }) => id));
    this.#alerts = [...more.filter(({ id }) => !known.has(id)), ...this.#alerts]
      .sort((a, b) => b.raised_us - a.raised_us).slice(0, ALERTS_MAX);
  }

  #lose(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    const { isLive, sinceMs } = this.connection;
    this.connection = { isLive: false, reason, sinceMs: isLive ? Date.now() : sinceMs };
    this.#onChange();
  }

  async #pollOnAndOn(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      const poll = await askAll(this.#address);
      // A server that is away keeps its last answers on the screen.
      if (poll !== undefined) {
        this.#polls = [...this.#polls.slice(-1), poll];
        this.#merge(poll.alerts?.alerts ?? []);
        this.#onChange();
      }
      await this.#pause(POLL_MS);
    }
  }

  /** Ends early when the feed ends. */
  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#ended.signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    clearTimeout(timer);
  }
}

/** One round of questions; `undefined` when nobody answered at all. A token may not allow all of them. */
async function askAll(address: HttpAddress): Promise<Poll | undefined> {
  const missing: Record<string, string> = {};
  let isGone = false;
  const ask = async (name: string, question: Promise<unknown>): Promise<Record<string, unknown>> => {
    try {
      return { [name]: await question };
    } catch (error) {
      isGone ||= !(error instanceof EscError) || error.code === "SERVER_UNREACHABLE" ||
        error.code === "TIMEOUT";
      missing[name] = error instanceof Error ? error.message : String(error);
      return {};
    }
  };
  const answers = await Promise.all([
    ask("metrics", getText(address, "/metrics")),
    ask("topics", getJson(address, `/api/v1/topics?limit=${TOPICS_MAX}`)),
    ask("consumers", getJson(address, "/api/v1/consumers")),
    ask("alerts", getJson(address, `/api/v1/alerts?limit=${ALERTS_MAX}`)),
  ]);
  return isGone ? undefined : Object.assign({ atMs: performance.now(), missing }, ...answers) as Poll;
}
