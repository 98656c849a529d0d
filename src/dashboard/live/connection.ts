/**
 * The stream of `/api/v1/live`: opened again whenever it is lost, and resumed behind the last row.
 */
import { effect } from "@preact/signals";
import type { LiveState } from "../../api/live-state.ts";
import { addAlert, type LiveAlert } from "./alerts.ts";
import { refusal, request, RequestFailure } from "../session.ts";
import { connection, type Hello, hello, live, state } from "./source.ts";
import { readMessages, type ServerMessage } from "./sse.ts";
import { append, EMPTY, type Row } from "./timeline.ts";

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 5_000;
/** The server sends every second: after so long in silence the connection is dead, whatever TCP says. */
const SILENCE_MS = 6_000;
/** A tab that nobody sees gives its connection back; browsers have only six a server. */
const HIDDEN_MS = 60_000;

let lastId: string | undefined;
let current: AbortController | undefined;
let retryMs = RETRY_MS_MIN;
let timer: ReturnType<typeof setTimeout> | undefined;
let hiddenTimer: ReturnType<typeof setTimeout> | undefined;

/** Connects, and stays connected. */
export function startLive(): void {
  effect(() => {
    // A token was typed in, or taken back.
    if (refusal.value === undefined) reconnect();
    else disconnect("refused");
  });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiddenTimer);
    if (document.hidden) hiddenTimer = setTimeout(() => disconnect("connecting"), HIDDEN_MS);
    else if (current === undefined && refusal.value === undefined) reconnect();
  });
  globalThis.addEventListener("online", reconnect);
}

/** Tries at once. */
export function reconnect(): void {
  disconnect("connecting");
  void connect();
}

function disconnect(to: "connecting" | "refused"): void {
  clearTimeout(timer);
  current?.abort();
  current = undefined;
  connection.value = to;
}

async function connect(): Promise<void> {
  const controller = new AbortController();
  current = controller;
  let watchdog = setTimeout(() => controller.abort(), SILENCE_MS);
  try {
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (lastId !== undefined) headers["last-event-id"] = lastId;
    const response = await request("/api/v1/live", { headers, signal: controller.signal });
    if (response.body === null) throw new RequestFailure(0, "The server sent nothing");
    for await (const message of readMessages(response.body)) {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => controller.abort(), SILENCE_MS);
      take(message);
      connection.value = "live";
      retryMs = RETRY_MS_MIN;
    }
  } catch (error) {
    if (error instanceof RequestFailure && error.status === 401) return;
  } finally {
    clearTimeout(watchdog);
  }
  // Somebody else has taken over, or wants it to be over.
  if (current !== controller) return;
  current = undefined;
  connection.value = "lost";
  timer = setTimeout(reconnectAfterLoss, retryMs * (0.5 + Math.random() / 2));
  retryMs = Math.min(RETRY_MS_MAX, retryMs * 2);
}

/** As `reconnect()`, but it goes on saying that the connection is lost until it is there again. */
function reconnectAfterLoss(): void {
  if (current === undefined && connection.value === "lost") void connect();
}

function take({ event, data, id }: ServerMessage): void {
  if (id !== undefined) lastId = id;
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
