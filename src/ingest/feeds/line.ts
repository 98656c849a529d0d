/**
 * One websocket line to a venue: connects, subscribes within the venue's limits, pings, notices silence, and comes
 * back after every loss.
 *
 *     idle ─start─▶ connecting ─open─▶ open ─close, silence, rotation─▶ waiting ─delay over─▶ connecting
 *                        └────────── timeout, refusal ─────────────────────┘         stop: closed
 *
 * There is no timer inside: the owner calls `tick()` some ten times a second with its clock. So a test, or a replay,
 * decides what time it is. Messages are passed on as they come, in order; nothing is buffered here.
 */
import { Reconnect } from "./reconnect.ts";
import { SendBudget } from "./send-budget.ts";

/** What the line needs of a websocket; the platform's own fits. */
export interface LineSocket {
  send(text: string): void;
  close(): void;
  onopen: ((event: Event) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
}

export interface LineOptions {
  readonly url: string;
  /** Messages that subscribe to everything, in order; sent anew on every connection. */
  readonly subscribe: readonly string[];
  /** Messages we may send in a second, pings included. Default 5. */
  readonly sendsPerSecondMax?: number;
  /** A ping the venue wants from us, when nothing has been sent for so long. */
  readonly ping?: { readonly text: string; readonly everyMs: number };
  readonly connectTimeoutMs?: number;
  /** Nothing at all for so long: the line is dead. Default 30,000 ms. */
  readonly silenceMs?: number;
  /** No data (only heartbeats) for so long: the subscription is dead. Default: never. */
  readonly dataSilenceMs?: number;
  /** Connect anew before the venue does it for us (Binance: 24 h). Default: never. */
  readonly rotateMs?: number;
  readonly random: () => number;
  readonly openSocket: (url: string) => LineSocket;
  readonly reconnect?: Omit<ConstructorParameters<typeof Reconnect>[0], "random">;
}

export type LineState = "idle" | "connecting" | "open" | "waiting" | "closed";
export type LossReason =
  | "refused"
  | "connect_timeout"
  | "closed"
  | "silence"
  | "data_silence"
  | "rotation"
  | "asked";

export interface LineListener {
  onText(text: string): void;
  /** Connected; the subscriptions go out now. */
  onOpen(): void;
  /** The line is gone; `lastMessageMs` is the time of the last good message, NaN when there was none. */
  onLost(reason: LossReason, lastMessageMs: number, retryMs: number): void;
}

/** One line; the owner calls it from one thread. */
export class Line {
  readonly #options: LineOptions;
  readonly #listener: LineListener;
  readonly #reconnect: Reconnect;
  readonly #budget: SendBudget;
  #socket: LineSocket | undefined;
  #state: LineState = "idle";
  #nowMs = 0;
  #sinceMs = 0; // when this state began
  #retryAtMs = 0;
  #lastMessageMs = NaN;
  #lastDataMs = NaN;
  #lastSentMs = 0;
  #subscribedCount = 0; // of options.subscribe, on this connection
  readonly #urgent: string[] = [];
  /** Frames that were no text: no venue here sends any. */
  binaryCount = 0;
  lossCount = 0;

  constructor(listener: LineListener, options: LineOptions) {
    this.#listener = listener;
    this.#options = options;
    this.#reconnect = new Reconnect({ ...options.reconnect, random: options.random });
    this.#budget = new SendBudget(options.sendsPerSecondMax ?? 5, 1000);
  }

  get state(): LineState {
    return this.#state;
  }

  get breaker(): Reconnect["state"] {
    return this.#reconnect.state;
  }

  /** All subscriptions of this connection have been sent. */
  get isSubscribed(): boolean {
    return this.#state === "open" && this.#subscribedCount === this.#options.subscribe.length;
  }

  start(nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#state === "idle") this.#connect();
  }

  /** Closes for good. */
  stop(): void {
    this.#dropSocket();
    this.#state = "closed";
  }

  /** Does whatever is due at this time. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    switch (this.#state) {
      case "waiting":
        if (nowMs >= this.#retryAtMs) this.#connect();
        return;
      case "connecting":
        if (nowMs - this.#sinceMs >= (this.#options.connectTimeoutMs ?? 10_000)) {
          this.#lose("connect_timeout");
        }
        return;
      case "open":
        this.#tickOpen(nowMs);
    }
  }

  /** Real data has come, not only a heartbeat: the line has proved itself. */
  dataSeen(): void {
    this.#lastDataMs = this.#nowMs;
    this.#reconnect.succeeded();
  }

  /** Queues a message (a new subscription, a resync of one symbol) for this connection. At most 1,000 wait. */
  send(text: string): boolean {
    if (this.#state !== "open" || this.#urgent.length >= 1000) return false;
    this.#urgent.push(text);
    this.#sendDue();
    return true;
  }

  /** The venue asked us to connect again, or the owner wants to. */
  reconnectNow(): void {
    if (this.#state === "open") this.#lose("asked");
  }

  #tickOpen(nowMs: number): void {
    const { silenceMs = 30_000, dataSilenceMs = Infinity, rotateMs = Infinity, ping } = this.#options;
    const quietSinceMs = Math.max(this.#sinceMs, Number.isNaN(this.#lastMessageMs) ? 0 : this.#lastMessageMs);
    const dataSinceMs = Math.max(this.#sinceMs, Number.isNaN(this.#lastDataMs) ? 0 : this.#lastDataMs);
    if (nowMs - quietSinceMs >= silenceMs) return this.#lose("silence");
    if (nowMs - dataSinceMs >= dataSilenceMs) return this.#lose("data_silence");
    if (nowMs - this.#sinceMs >= rotateMs) return this.#lose("rotation");
    this.#sendDue();
    const isPingDue = ping !== undefined && nowMs - this.#lastSentMs >= ping.everyMs;
    if (isPingDue && this.#budget.take(nowMs)) this.#write(ping.text);
  }

  #connect(): void {
    this.#state = "connecting";
    this.#sinceMs = this.#nowMs;
    this.#subscribedCount = 0;
    this.#urgent.length = 0;
    this.#reconnect.attempted();
    const socket = this.#options.openSocket(this.#options.url);
    this.#socket = socket;
    // Events of a socket that was given up may still come: only the present one counts.
    socket.onopen = () => socket === this.#socket && this.#opened();
    socket.onerror = () => socket === this.#socket && this.#lose("refused");
    socket.onclose = () =>
      socket === this.#socket && this.#lose(this.#state === "connecting" ? "refused" : "closed");
    socket.onmessage = ({ data }) => socket === this.#socket && this.#received(data);
  }

  #opened(): void {
    this.#state = "open";
    this.#sinceMs = this.#lastSentMs = this.#nowMs;
    this.#listener.onOpen();
    this.#sendDue();
  }

  #received(data: unknown): void {
    if (typeof data !== "string") {
      this.binaryCount++;
      return;
    }
    this.#lastMessageMs = this.#nowMs;
    this.#listener.onText(data);
  }

  /** Sends what the budget allows: single requests before the rest of the subscriptions. */
  #sendDue(): void {
    const { subscribe } = this.#options;
    while (this.#urgent.length > 0 && this.#budget.take(this.#nowMs)) this.#write(this.#urgent.shift() ?? "");
    while (this.#subscribedCount < subscribe.length && this.#budget.take(this.#nowMs)) {
      this.#write(subscribe[this.#subscribedCount++] ?? "");
    }
  }

  #write(text: string): void {
    this.#lastSentMs = this.#nowMs;
    this.#socket?.send(text);
  }

  #lose(reason: LossReason): void {
    this.#dropSocket();
    this.lossCount++;
    const delayMs = reason === "rotation" ? 0 : this.#reconnect.failed();
    this.#state = "waiting";
    this.#sinceMs = this.#nowMs;
    this.#retryAtMs = this.#nowMs + delayMs;
    const lastMessageMs = this.#lastMessageMs;
    this.#lastMessageMs = this.#lastDataMs = NaN;
    this.#listener.onLost(reason, lastMessageMs, delayMs);
  }

  #dropSocket(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }
}
