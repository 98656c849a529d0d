/**
 * One connection to esc for market data: a WebSocket that subscribes and comes back after every loss.
 *
 *     connecting ─open─▶ open ─close─▶ waiting ─delay (full jitter)─▶ connecting          close(): closed
 *
 * Runs in browsers, Node, Bun and Deno: it uses the platform's own WebSocket and timers.
 */

/** Where from, and what. */
export interface StreamSource {
  /** Unique among the sources of one infrastructure. */
  readonly id: string;
  /** esc's WebSocket: `ws://host:8080/api/v1/subscribe`. */
  readonly url: string;
  /** Topic patterns. Default: all market data. */
  readonly topics?: readonly string[];
  /** Where to begin. Default: `latest`. */
  readonly from?: "latest" | "earliest";
}

/** One event of a market topic. */
export interface MarketEvent {
  readonly source: string;
  readonly topic: string;
  /** Parsed payload; `kind` says what it is. */
  readonly data: Readonly<Record<string, unknown>>;
}

export interface SourceListener {
  onEvent(event: MarketEvent): void;
  onOpen(source: string, isAgain: boolean): void;
  onLost(source: string, reason: string, retryMs: number): void;
  /** A payload or a message that cannot be read. */
  onInvalid(source: string, problem: string): void;
}

const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 30_000;

export class MarketSource {
  readonly source: StreamSource;
  readonly #listener: SourceListener;
  #socket: WebSocket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #hasBeenOpen = false;
  #isClosed = false;
  eventCount = 0;
  invalidCount = 0;

  constructor(source: StreamSource, listener: SourceListener) {
    this.source = source;
    this.#listener = listener;
    this.#connect();
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #connect(): void {
    const socket = new WebSocket(this.source.url);
    this.#socket = socket;
    socket.onopen = () => {
      const { id, topics = ["market.>"], from = "latest" } = this.source;
      // After a loss it goes on with what is new: old prices are of no use to whoever looks at the market.
      socket.send(
        JSON.stringify({ type: "subscribe", id, topics, from: this.#hasBeenOpen ? "latest" : from }),
      );
      this.#failures = 0;
      this.#listener.onOpen(id, this.#hasBeenOpen);
      this.#hasBeenOpen = true;
    };
    socket.onmessage = ({ data }) => this.#take(String(data));
    socket.onclose = ({ code, reason }) => this.#lost(reason === "" ? `closed with ${code}` : reason);
  }

  #lost(reason: string): void {
    if (this.#isClosed) return;
    const limitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** this.#failures++);
    const retryMs = Math.random() * limitMs;
    this.#listener.onLost(this.source.id, reason, retryMs);
    this.#timer = setTimeout(() => this.#connect(), retryMs);
  }

  #take(text: string): void {
    const message = parseObject(text);
    if (message === undefined) return this.#invalid("A message is no JSON object");
    if (message["type"] === "error") return this.#invalid(String(message["message"] ?? text));
    const { topic, payload } = message;
    if (message["type"] !== "event" || typeof topic !== "string" || typeof payload !== "string") return;
    const data = message["encoding"] === undefined ? parseObject(payload) : undefined;
    if (data === undefined) return this.#invalid(`An event of ${topic} has no JSON payload`);
    this.eventCount++;
    this.#listener.onEvent({ source: this.source.id, topic, data });
  }

  #invalid(problem: string): void {
    this.invalidCount++;
    this.#listener.onInvalid(this.source.id, problem);
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
