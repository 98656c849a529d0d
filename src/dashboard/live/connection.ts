/**
 * The stream of `/api/v1/live`: opened again whenever it is lost, and resumed behind the last row.
 */
import { effect } from "@preact/signals";
import type { LiveState } from "../../api/live-state.ts";
import { refusal, request, RequestFailure } from "../session.ts";
import { addAlert, type LiveAlert } from "./alerts.ts";
import { connection, type ConnectionState, type Hello, hello, live, state } from "./source.ts";
import { readMessages, type ServerMessage } from "./sse.ts";
import { append, EMPTY, type Row } from "./timeline.ts";

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 5_000;
/** The server sends every second: after so long in silence the connection is dead, whatever TCP says. */
const SILENCE_MS = 6_000;
/** A tab that nobody sees gives its connection back; browsers have only six a server. */
const HIDDEN_MS = 60_000;

/** Connects, and stays connected while the page is seen and the server lets us. */
export function startLive(): void {
  effect(() => {
    // A token was typed in, or taken back.
    if (refusal.value === undefined) reconnect();
    else stream.close("refused");
  });
  let hiding: ReturnType<typeof setTimeout> | undefined;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(() => stream.close("connecting"), HIDDEN_MS);
    else if (!stream.isOpen) reconnect();
  });
  globalThis.addEventListener("online", reconnect);
}

/** Tries at once, unless the server wants a token first. */
export function reconnect(): void {
  stream.close("connecting");
  if (refusal.value === undefined) void stream.open();
}

/** One connection after the other; at most one at a time. */
class LiveStream {
  #current: AbortController | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #retryMs = RETRY_MS_MIN;
  /** Of the last row: where the next connection begins. */
  #lastId: string | undefined;

  get isOpen(): boolean {
    return this.#current !== undefined;
  }

  /** Ends the connection, and all attempts at another. */
  close(to: ConnectionState): void {
    clearTimeout(this.#retry);
    this.#current?.abort();
    this.#current = undefined;
    connection.value = to;
  }

  /** Settles when the connection has ended; another attempt is set for later then. */
  async open(): Promise<void> {
    const controller = new AbortController();
    this.#current = controller;
    try {
      await this.#read(controller);
    } catch {
      // Why it ended makes no difference: a refusal has been noted by `request()`, anything else is tried again.
    }
    // Another one has taken its place, or none is wanted.
    if (this.#current !== controller) return;
    this.#current = undefined;
    connection.value = "lost";
    this.#retry = setTimeout(() => void this.open(), this.#retryMs * (0.5 + Math.random() / 2));
    this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
  }

  async #read(controller: AbortController): Promise<void> {
    const silence = () => setTimeout(() => controller.abort(), SILENCE_MS);
    let watchdog = silence();
    try {
      const headers: Record<string, string> = { accept: "text/event-stream" };
      if (this.#lastId !== undefined) headers["last-event-id"] = this.#lastId;
      const { body } = await request("/api/v1/live", { headers, signal: controller.signal });
      if (body === null) throw new RequestFailure(0, "The server sent nothing");
      for await (const message of readMessages(body)) {
        clearTimeout(watchdog);
        watchdog = silence();
        this.#lastId = message.id ?? this.#lastId;
        take(message);
        connection.value = "live";
        this.#retryMs = RETRY_MS_MIN;
      }
    } finally {
      clearTimeout(watchdog);
    }
  }
}

const stream = new LiveStream();

function take({ event, data }: ServerMessage): void {
  if (event === "hello") greet(JSON.parse(data) as Hello);
  else if (event === "rows") live.value = append(live.value, JSON.parse(data) as Row[]);
  else if (event === "state") state.value = JSON.parse(data) as LiveState;
  else if (event === "alert") addAlert(JSON.parse(data) as LiveAlert);
}

/** What was measured before a restart stays, if the same is measured again. */
function greet(next: Hello): void {
  const isSame = JSON.stringify(next.columns) === JSON.stringify(live.value.columns);
  if (!isSame) live.value = { ...EMPTY, columns: next.columns };
  hello.value = next;
}
