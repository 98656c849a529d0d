/**
 * One connection to esc for market data: a WebSocket that subscribes and comes back after every loss.
 *
 *     connecting ─open─▶ open ─close─▶ waiting ─delay (full jitter)─▶ connecting          close(): closed
 *                                          └─ attemptsMax failures running ─▶ given up
 *
 * Runs in browsers, Node, Bun and Deno: it uses the platform's own WebSocket and timers.
 */
import { decodePayload, parseObject, type PayloadData } from "../../market/decode-payload.ts";

/** Where from, and what. */
export interface StreamSource {
  /** Unique among the sources of one infrastructure. */
  readonly id: string;
  /** For people; default: the id. */
  readonly name?: string;
  /** esc's WebSocket: `ws://host:8080/api/v1/subscribe`. */
  readonly url: string;
  /** A token of esc, where it asks for one. */
  readonly apiKey?: string;
  /** `false`: known, and not connected. */
  readonly isActive?: boolean;
  /** Topic patterns. Default: all market data of the symbols and kinds below. */
  readonly topics?: readonly string[];
  /** esc's symbols, such as BTC-USDT. Default: all. */
  readonly supportedSymbols?: readonly string[];
  /** Kinds of events, such as trade, quote, bar. Default: all. */
  readonly supportedDataTypes?: readonly string[];
  /** Where to begin. Default: `latest`. */
  readonly from?: "latest" | "earliest";
  readonly reconnect?: ReconnectConfig;
}

export interface ReconnectConfig {
  /** Default 250 ms. */
  readonly initialMs?: number;
  /** Default 30 s. */
  readonly maxMs?: number;
  /** Attempts running that fail before the source gives up. Default: never. */
  readonly attemptsMax?: number;
}

/** One event of a market topic. */
export interface MarketEvent {
  readonly source: string;
  readonly topic: string;
  /** Payload, the same for JSON and binary; `kind` says what it is. */
  readonly data: PayloadData;
}

export interface SourceListener {
  onEvent(event: MarketEvent): void;
  onAttempt(source: string, attempt: number): void;
  onOpen(source: string, isAgain: boolean): void;
  /** @param retryMs When the next attempt comes; `undefined`: none, the source has given up. */
  onLost(source: string, reason: string, retryMs: number | undefined): void;
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
  byteCount = 0;

  constructor(source: StreamSource, listener: SourceListener) {
    this.source = source;
    this.#listener = listener;
    if (source.isActive !== false) this.#connect();
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
    const { url, apiKey, id } = this.source;
    if (this.#hasBeenOpen || this.#failures > 0) this.#listener.onAttempt(id, this.#failures);
    const address = new URL(url);
    // Browsers give a WebSocket no headers.
    if (apiKey !== undefined) address.searchParams.set("access_token", apiKey);
    const socket = new WebSocket(address.href);
    this.#socket = socket;
    socket.onopen = () => {
      // After a loss it goes on with what is new: old prices are of no use to whoever looks at the market.
      const from = this.#hasBeenOpen ? "latest" : this.source.from ?? "latest";
      socket.send(JSON.stringify({ type: "subscribe", id, topics: topicsOf(this.source), from }));
      this.#failures = 0;
      this.#listener.onOpen(id, this.#hasBeenOpen);
      this.#hasBeenOpen = true;
    };
    socket.onmessage = ({ data }) => this.#take(String(data));
    socket.onclose = ({ code, reason }) => this.#lost(reason === "" ? `closed with ${code}` : reason);
  }

  #lost(reason: string): void {
    if (this.#isClosed) return;
    const { initialMs = RETRY_MS_MIN, maxMs = RETRY_MS_MAX, attemptsMax = Infinity } =
      this.source.reconnect ?? {};
    if (this.#failures >= attemptsMax) {
      this.#isClosed = true;
      return this.#listener.onLost(this.source.id, reason, undefined);
    }
    const retryMs = Math.random() * Math.min(maxMs, initialMs * 2 ** this.#failures++);
    this.#listener.onLost(this.source.id, reason, retryMs);
    this.#timer = setTimeout(() => this.#connect(), retryMs);
  }

  #take(text: string): void {
    this.byteCount += text.length;
    const message = parseObject(text);
    if (message === undefined) return this.#invalid("A message is no JSON object");
    if (message["type"] === "error") return this.#invalid(String(message["message"] ?? text));
    const { topic, payload, encoding } = message;
    if (message["type"] !== "event" || typeof topic !== "string" || typeof payload !== "string") return;
    const data = encoding === "base64" ? decodePayload(bytesOf(payload), topic) : parseObject(payload);
    if (data === undefined) return this.#invalid(`An event of ${topic} cannot be read`);
    this.eventCount++;
    this.#listener.onEvent({ source: this.source.id, topic, data });
  }

  #invalid(problem: string): void {
    this.invalidCount++;
    this.#listener.onInvalid(this.source.id, problem);
  }
}

/** Patterns of the source's symbols and kinds; venues' lines too, when it takes all kinds. */
function topicsOf({ topics, supportedSymbols, supportedDataTypes }: StreamSource): readonly string[] {
  if (topics !== undefined) return topics;
  if (supportedSymbols === undefined && supportedDataTypes === undefined) return ["market.>"];
  const symbols = supportedSymbols ?? ["*"];
  const kinds = supportedDataTypes ?? ["*"];
  return symbols.flatMap((symbol) => kinds.map((kind) => `market.*.${symbol}.${kind}`));
}

function bytesOf(base64: string): Uint8Array {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
