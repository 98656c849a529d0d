/**
 * A client of esc: one connection that publishes and subscribes, and is opened again when it breaks, if wanted.
 *
 *     const client = await Client.connect({ dial: dialTcp({ host, port }), acks: "durable" });
 *     await client.publish(event);
 *     await client.flush();
 *     for await (const event of await client.events({ topics: ["orders.>"] })) handle(event);
 *     await client.close();
 */
import { EscError } from "../errors.ts";
import type { OutgoingEvent } from "../event/encode.ts";
import { deferred } from "./deferred.ts";
import { Connection, type ConnectionEvents, type Refusal, refusalError } from "./connection.ts";
import { EventStream, type StreamOptions } from "./event-stream.ts";
import { EventCursor } from "./events.ts";
import { Publisher, type PublisherOptions } from "./publisher.ts";
import { type EventsHandler, type SubscribeOptions, Subscription } from "./subscription.ts";
import type { Dial } from "./transport.ts";

/** How a broken connection is opened again. */
export interface ReconnectOptions {
  /** First pause; each attempt doubles it, up to `delayMsMax`. Default 100. */
  readonly delayMs?: number;
  /** Default 5,000. */
  readonly delayMsMax?: number;
  /** The client fails when this long passed without a connection. Default 60,000. */
  readonly giveUpMs?: number;
}

export interface ClientOptions extends PublisherOptions {
  readonly dial: Dial;
  readonly token?: string | undefined;
  /** Name for the server's logs. */
  readonly producer?: string | undefined;
  /**
   * Absent: a broken connection is the end. With it, unanswered events are sent again: those with message ids are
   * stored once; those without may be stored twice.
   */
  readonly reconnect?: ReconnectOptions | undefined;
  /** The connection broke and will be opened again in `delayMs`. */
  readonly onDisconnected?: (error: EscError, delayMs: number) => void;
  readonly onReconnected?: () => void;
}

const DELAY_MS = 100;
const DELAY_MS_MAX = 5_000;
const GIVE_UP_MS = 60_000;
const SUBSCRIPTIONS_MAX = 64;

/** An open client. */
export class Client {
  /** The sending half. */
  readonly publisher: Publisher;
  /** Settles when the client has ended: with `undefined` after `close()`, else with the reason. Never rejects. */
  readonly ended: Promise<EscError | undefined>;
  readonly #options: ClientOptions;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #cursor = new EventCursor();
  readonly #settleEnded: (error: EscError | undefined) => void;
  #connection: Connection | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #isEnding = false;
  /** A refusal that is not about an event: the answer to a SUBSCRIBE that is being made. */
  #subscribeRefusal: Refusal | undefined;
  #subscriptionsMade = 0;

  private constructor(options: ClientOptions) {
    this.#options = options;
    this.publisher = new Publisher(options);
    const { promise, resolve } = deferred<EscError | undefined>();
    this.ended = promise;
    this.#settleEnded = resolve;
  }

  /**
   * Connects and greets. The first connection is not retried, whatever `reconnect` says.
   *
   * @throws {EscError} `SERVER_UNREACHABLE`, `TIMEOUT`, or the code with which the server refused.
   */
  static async connect(options: ClientOptions): Promise<Client> {
    const client = new Client(options);
    await client.#open();
    return client;
  }

  /** The server's answer to our greeting, on the connection open now or last. */
  get welcome(): Connection["welcome"] | undefined {
    return this.#connection?.welcome;
  }

  /**
   * Begins to receive events. The handler may be called before this resolves.
   *
   * A refusal that the server can tell only after asking for a durable consumer's position may come after
   * this has resolved: through `onRefused`, with `seq` 0.
   *
   * @throws {EscError} With the server's code when it refuses the subscription.
   */
  async subscribe(options: SubscribeOptions, handler: EventsHandler): Promise<Subscription> {
    const connection = this.#connection;
    if (connection === undefined) throw new EscError("SERVER_UNREACHABLE", "Cannot subscribe: not connected");
    if (this.#subscriptions.size >= SUBSCRIPTIONS_MAX) {
      throw new EscError("USAGE", `Cannot subscribe: the client has ${SUBSCRIPTIONS_MAX} subscriptions`);
    }
    const subscription = new Subscription(`s${++this.#subscriptionsMade}`, options, handler);
    this.#subscriptions.set(subscription.id, subscription);
    this.#subscribeRefusal = undefined;
    subscription.attach(connection);
    // The server opens a subscription after it has dealt with what arrived together with the request, the
    // first PING included. So its refusal lies between the first PONG and the second.
    try {
      await connection.ping();
      await connection.ping();
    } catch (error) {
      // A new connection would ask for it again, and nobody would know.
      this.#subscriptions.delete(subscription.id);
      throw error;
    }
    const refusal: Refusal | undefined = this.#subscribeRefusal;
    if (refusal === undefined) return subscription;
    this.#subscriptions.delete(subscription.id);
    throw refusalError(refusal);
  }

  /**
   * Begins to receive events, to be taken one by one: `for await (const event of await client.events(…))`.
   *
   * An event counts as handled when the next one is asked for; that is confirmed to the server.
   *
   * @throws {EscError} With the server's code when it refuses the subscription.
   */
  async events(options: StreamOptions): Promise<EventStream> {
    const stream = new EventStream(options);
    const subscription = await this.subscribe(
      stream.options,
      (events) => stream.take(events),
    );
    stream.begin(subscription, () => this.#subscriptions.delete(subscription.id));
    this.ended.then((error) => stream.end(error));
    return stream;
  }

  /**
   * Takes one event for sending, as soon as there is room for it.
   *
   * @returns Its number, from 1, among all that this client has taken: refusals name it.
   * @throws {EscError} `USAGE` when no server would accept the event; or why the client has failed.
   */
  async publish(event: OutgoingEvent): Promise<number> {
    while (!this.publisher.publish(event)) await this.publisher.room();
    return this.publisher.publishedCount;
  }

  /** Resolves when everything published so far is answered for. @throws {EscError} If the client fails before. */
  flush(): Promise<void> {
    return this.publisher.settled();
  }

  /** Asks the server for an answer. @throws {EscError} When there is none. */
  async ping(): Promise<void> {
    if (this.#connection === undefined) {
      throw new EscError("SERVER_UNREACHABLE", "Cannot ping: not connected");
    }
    await this.#connection.ping();
  }

  /** Stops reading until `resume()`: the server's events wait in its log. */
  pause(): void {
    this.#connection?.pause();
  }

  resume(): void {
    this.#connection?.resume();
  }

  /**
   * Waits until everything published is answered for, confirms what was handled, and closes.
   *
   * @throws {EscError} If the connection was lost before that.
   */
  async close(): Promise<void> {
    if (this.#isEnding) return;
    for (const subscription of this.#subscriptions.values()) subscription.confirm();
    await this.publisher.settled();
    this.#isEnding = true;
    this.#connection?.end();
    await this.ended;
  }

  /** Closes at once; what was not answered may or may not have arrived. */
  abort(): void {
    this.#isEnding = true;
    clearTimeout(this.#retryTimer);
    const connection = this.#connection;
    connection?.abort();
    this.#end(undefined);
  }

  async #open(): Promise<void> {
    const { dial, acks, token, producer, countDuplicates } = this.#options;
    const connection = await Connection.open(
      dial,
      {
        acks,
        ...(token === undefined ? {} : { token }),
        ...(producer === undefined ? {} : { producer }),
        ...(countDuplicates === true ? { ack_details: true } : {}),
      },
      this.#connectionEvents(),
    );
    // abort() may have come while the connection was being opened.
    if (this.#isEnding) return connection.abort();
    this.#connection = connection;
    this.publisher.attach(connection);
    for (const subscription of this.#subscriptions.values()) subscription.attach(connection);
  }

  #connectionEvents(): ConnectionEvents {
    return {
      acknowledged: (count, duplicates) => this.publisher.acknowledged(count, duplicates),
      refused: (refusal) => {
        if (refusal.seq === 0) this.#subscribeRefusal = refusal;
        this.publisher.refused(refusal);
      },
      delivered: (bytes, at, end) => {
        const id = this.#cursor.open(bytes, at, end);
        this.#subscriptions.get(id)?.deliver(this.#cursor);
      },
      drained: () => this.publisher.drained(),
      closed: (error) => this.#lost(error),
    };
  }

  #lost(error: EscError): void {
    this.#connection = undefined;
    this.publisher.detach();
    for (const subscription of this.#subscriptions.values()) subscription.detach();
    if (this.#isEnding) return this.#end(undefined);
    const { reconnect } = this.#options;
    if (reconnect === undefined) return this.#end(error);
    this.#retry(error, reconnect.delayMs ?? DELAY_MS, performance.now() + (reconnect.giveUpMs ?? GIVE_UP_MS));
  }

  #retry(error: EscError, delayMs: number, deadlineMs: number): void {
    if (performance.now() + delayMs > deadlineMs) return this.#end(error);
    this.#options.onDisconnected?.(error, delayMs);
    this.#retryTimer = setTimeout(async () => {
      try {
        await this.#open();
        this.#options.onReconnected?.();
      } catch (cause) {
        if (!(cause instanceof EscError)) throw cause;
        const delayMsMax = this.#options.reconnect?.delayMsMax ?? DELAY_MS_MAX;
        this.#retry(cause, Math.min(delayMs * 2, delayMsMax), deadlineMs);
      }
    }, delayMs);
  }

  #end(error: EscError | undefined): void {
    this.#isEnding = true;
    this.publisher.fail(error ?? new EscError("SERVER_UNREACHABLE", "Cannot publish: the client is closed"));
    this.#settleEnded(error);
  }
}
