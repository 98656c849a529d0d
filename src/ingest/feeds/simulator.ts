/**
 * A venue made of a recording: serves it over a real websocket and REST as the venue would, with faults on request.
 *
 * The simulator keeps the true book of every instrument as it goes, so that it can answer a snapshot at any moment:
 * by REST where the venue does, or on the line when a client subscribes again. What a client does not see (lost
 * messages, a cut connection) still happens to the truth, as at a real venue.
 *
 * The recording begins with the first subscription. A recorded REST snapshot is the answer to the first question after
 * it, and holds the stream until then (unless no update of its symbol has been sent, because then no client asks), so
 * that an undisturbed client joins exactly where the recording did.
 */
import type { ServerWebSocket } from "bun";
import type { Instrument } from "../../market/instrument.ts";
import { BookFeed, type BookFeedListener, type BookFeedOptions } from "./book-feed.ts";
import type { Decoder, MessageSink } from "./decoder.ts";
import type { Dialect } from "./dialect.ts";

export interface SimulatedLine {
  readonly receivedUs: number;
  readonly text: string;
  /** The text is a REST answer with the book of this symbol. */
  readonly snapshotOf?: string;
}

/** What goes wrong at a line of the recording, counted from 0. */
export interface Fault {
  readonly at: number;
  readonly kind: "lose" | "duplicate" | "swap" | "truncate" | "disconnect";
}

export interface SimulatorOptions {
  readonly lines: readonly SimulatedLine[];
  readonly dialect: Dialect;
  readonly makeDecoder: (sink: MessageSink) => Decoder;
  readonly book: BookFeedOptions;
  readonly faults?: readonly Fault[];
  /** Is awaited before each line: for rehearsals in which something must have happened first. */
  readonly before?: (at: number) => Promise<void> | undefined;
  /** Times the recorded pace; Infinity (default): as fast as the client reads. */
  readonly speed?: number;
  readonly hostname?: string;
  /** 0: any free one. */
  readonly port?: number;
}

const HEARTBEAT_MS = 1000;
/** Lines sent at once before the event loop gets its turn: with more, answers to the client would wait too long. */
const LINES_A_TURN = 64;
/** Bytes waiting in the socket before the stream pauses. */
const BUFFERED_BYTES_MAX = 256 * 1024;

const SILENT: BookFeedListener = {
  onUpdate() {},
  onSnapshot() {},
  onFault() {},
  onSnapshotWanted() {},
  onStateChange() {},
};

export class Simulator {
  /** Settles when the last line has been sent. */
  readonly finished: Promise<void>;
  sentCount = 0;
  restCount = 0;
  readonly #options: SimulatorOptions;
  readonly #server: ReturnType<Simulator["serve"]>;
  readonly #truth: Decoder;
  readonly #books = new Map<string, BookFeed>();
  readonly #faults: ReadonlyMap<number, Fault["kind"]>;
  /** Symbols a client has subscribed to before: the next time it gets a snapshot of the truth. */
  readonly #known = new Set<string>();
  #socket: ServerWebSocket<undefined> | undefined;
  /** The connection that is being counted. */
  #talking: ServerWebSocket<undefined> | undefined;
  /** Messages of this connection, where the venue counts them. */
  #messageCount = 0;
  readonly #lastTradeIds = new Map<string, number>();
  readonly #pulse: ReturnType<typeof setInterval>;
  #sentBeforeBeat = 0;
  /** Texts of this turn, in order. */
  #unsent: string[] = [];
  #isStopped = false;
  /** Whoever waits for something to change: a subscription, a fetched snapshot, a drained socket. */
  #wake: () => void = () => {};
  readonly #fetched = new Set<string>();
  /** Recorded snapshots nobody has fetched yet: they are answered as they are. */
  readonly #recorded = new Map<string, string>();

  constructor(options: SimulatorOptions) {
    this.#options = options;
    this.#faults = new Map(options.faults?.map(({ at, kind }) => [at, kind]));
    this.#truth = options.makeDecoder((message) => {
      if (message.kind === "trade") this.#lastTradeIds.set(message.instrument.venueSymbol, message.id);
      if (message.kind === "book_delta" || message.kind === "book_snapshot") {
        this.#bookOf(message.instrument).take(message);
      }
    });
    this.#server = this.serve();
    this.#pulse = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.finished = this.#stream();
  }

  get url(): string {
    return `ws://${this.#server.hostname}:${this.#server.port}/`;
  }

  /** Where a book's snapshot is fetched, as the venue's own path does. */
  snapshotUrl(symbol: string): string {
    return `http://${this.#server.hostname}:${this.#server.port}/depth?symbol=${encodeURIComponent(symbol)}`;
  }

  /** The true book of a symbol now. */
  book(venueSymbol: string): BookFeed | undefined {
    return this.#books.get(venueSymbol);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#pulse);
    this.#wake();
    await this.#server.stop(true);
    await this.finished;
  }

  private serve() {
    return Bun.serve({
      hostname: this.#options.hostname ?? "127.0.0.1",
      port: this.#options.port ?? 0,
      fetch: async (request, server) => {
        if (server.upgrade(request)) return undefined;
        return await this.#answerRest(new URL(request.url));
      },
      websocket: {
        message: (socket, text) => this.#answerLine(socket, String(text)),
        drain: () => this.#wake(),
        close: (socket) => {
          if (socket === this.#socket) this.#socket = undefined;
          this.#wake();
        },
      },
    });
  }

  /** Waits for the book to be known, then answers with the truth of now. */
  async #answerRest(url: URL): Promise<Response> {
    const symbol = this.#options.dialect.requested?.(url);
    if (symbol === undefined) return new Response("no such book", { status: 404 });
    while (this.#books.get(symbol)?.state !== "live" && !this.#isStopped) await Bun.sleep(1);
    const feed = this.#books.get(symbol);
    if (feed === undefined) return new Response("stopped", { status: 503 });
    this.restCount++;
    this.#fetched.add(symbol);
    const recorded = this.#recorded.get(symbol);
    this.#recorded.delete(symbol);
    const body = recorded ?? this.#options.dialect.snapshot(feed.book, feed.lastId, symbol);
    // The stream goes on only after the answer is on its way.
    setTimeout(() => this.#wake(), 0);
    return new Response(body, { headers: { "content-type": "application/json" } });
  }

  #answerLine(socket: ServerWebSocket<undefined>, text: string): void {
    const { dialect } = this.#options;
    if (socket !== this.#talking) {
      this.#talking = socket;
      this.#messageCount = 0;
    }
    for (const answer of dialect.answer(text)) socket.send(this.#numbered(answer));
    const symbols = dialect.subscribed(text);
    if (symbols === undefined) return;
    for (const symbol of symbols) {
      const feed = this.#known.has(symbol) ? this.#books.get(symbol) : undefined;
      if (feed !== undefined && dialect.requested === undefined) {
        socket.send(this.#numbered(dialect.snapshot(feed.book, feed.lastId, symbol)));
      }
      this.#known.add(symbol);
    }
    this.#socket = socket;
    this.#wake();
  }

  async #stream(): Promise<void> {
    const { lines, speed = Infinity } = this.#options;
    let held: string | undefined; // the first of two to be swapped
    for (const [at, recorded] of lines.entries()) {
      if (this.#socket === undefined) await this.#until(() => this.#socket !== undefined);
      if (this.#isStopped) return;
      // A timer of 0 ms takes a millisecond: as fast as it can means a turn of the loop and no more.
      if (at % LINES_A_TURN === 0) {
        this.#flush();
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      if (this.#options.before !== undefined) {
        this.#flush();
        await this.#options.before(at);
      }
      if (speed !== Infinity) await this.#keepPace(lines[at - 1], recorded, speed);
      const symbol = recorded.snapshotOf;
      const isWanted = symbol !== undefined && this.#books.has(symbol);
      this.#learn(recorded);
      const line = symbol === undefined ? { text: this.#numbered(recorded.text) } : recorded;
      if (symbol !== undefined) {
        this.#flush();
        this.#recorded.set(symbol, line.text); // the truth has gone on already, by the updates it had buffered
        if (isWanted) await this.#until(() => this.#fetched.has(symbol));
        continue;
      }
      const kind = this.#faults.get(at);
      if (kind === "disconnect") {
        this.#flush();
        this.#socket?.close();
        this.#socket = undefined;
        continue;
      }
      if (kind === "swap") {
        held = line.text;
        continue;
      }
      if (kind !== "lose") {
        this.#send(kind === "truncate" ? line.text.slice(0, line.text.length >> 1) : line.text);
      }
      if (kind === "duplicate") this.#send(line.text);
      if (held !== undefined) this.#send(held);
      held = undefined;
      if ((this.#socket?.getBufferedAmount() ?? 0) > BUFFERED_BYTES_MAX) {
        await this.#until(() => this.#isDrained());
      }
    }
    this.#flush();
  }

  /** Sends what waits, in one write of the socket. */
  #flush(): void {
    const texts = this.#unsent;
    if (texts.length === 0) return;
    this.#unsent = [];
    const socket = this.#socket;
    socket?.cork(() => {
      for (const text of texts) socket.send(text);
    });
  }

  /** A message of the connection has its number even when it is lost on its way. */
  #numbered(text: string): string {
    return this.#options.dialect.numbered?.(text, this.#messageCount++) ?? text;
  }

  /** Tells a client that the line is alive, after a second without traffic. */
  #beat(): void {
    const isQuiet = this.sentCount === this.#sentBeforeBeat;
    this.#sentBeforeBeat = this.sentCount;
    if (!isQuiet || this.#socket === undefined) return;
    for (const text of this.#options.dialect.heartbeat?.(this.#lastTradeIds) ?? []) {
      this.#socket.send(this.#numbered(text));
    }
  }

  #isDrained(): boolean {
    return (this.#socket?.getBufferedAmount() ?? 0) < BUFFERED_BYTES_MAX / 2;
  }

  /** What the line does to the true book. */
  #learn(line: SimulatedLine): void {
    if (line.snapshotOf === undefined) {
      this.#truth.decode(line.text, line.receivedUs);
      return;
    }
    const instrument = this.#truth.instruments.get(line.snapshotOf);
    if (instrument !== undefined) this.#truth.decodeSnapshot?.(line.text, instrument, line.receivedUs);
  }

  #bookOf(instrument: Instrument): BookFeed {
    let book = this.#books.get(instrument.venueSymbol);
    if (book === undefined) {
      book = new BookFeed(instrument, SILENT, this.#options.book);
      this.#books.set(instrument.venueSymbol, book);
    }
    return book;
  }

  #send(text: string): void {
    this.#unsent.push(text);
    this.sentCount++;
  }

  async #keepPace(before: SimulatedLine | undefined, line: SimulatedLine, speed: number): Promise<void> {
    if (before === undefined || speed === Infinity) return;
    const waitMs = (line.receivedUs - before.receivedUs) / 1000 / speed;
    if (waitMs < 1) return;
    this.#flush();
    await Bun.sleep(waitMs);
  }

  async #until(holds: () => boolean): Promise<void> {
    if (!holds()) this.#flush();
    while (!holds() && !this.#isStopped) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}
