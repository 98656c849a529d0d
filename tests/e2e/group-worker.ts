/** A worker of a consumer group: a WebSocket that takes events as JSON and acknowledges them. */

/** An event as a group's member gets it. */
export interface GroupEvent {
  readonly lane: string;
  readonly shard: number;
  readonly offset: number;
  readonly topic: string;
  readonly key?: string;
  readonly payload: string;
  readonly attempts: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export class GroupWorker {
  readonly #socket: WebSocket;
  readonly events: GroupEvent[] = [];
  /** What the server refused, in its words. */
  readonly refusals: string[] = [];
  /** Settles when the connection is gone. */
  readonly gone: Promise<void>;
  readonly #joined = Promise.withResolvers<void>();
  #waiting: (() => void)[] = [];

  /** @param onEvent Is called for each event; `ack()` it there, or never. */
  private constructor(
    socket: WebSocket,
    request: object,
    onEvent: (worker: GroupWorker, event: GroupEvent) => void,
  ) {
    this.#socket = socket;
    socket.onopen = () => this.#send({ type: "subscribe", id: "w", ...request });
    this.gone = new Promise((resolve) => {
      socket.onclose = () => {
        this.#joined.resolve();
        resolve();
      };
    });
    socket.onerror = () => {};
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(String(data));
      if (message.type === "event") {
        this.events.push(message);
        onEvent(this, message);
      }
      if (message.type === "error") this.refusals.push(message.message);
      if (message.type === "subscribed" || message.type === "error") this.#joined.resolve();
      for (const settle of this.#waiting.splice(0)) settle();
    };
  }

  /** Joins, and settles when the server has answered or the connection is gone. */
  static async join(
    address: string,
    request: object,
    onEvent: (worker: GroupWorker, event: GroupEvent) => void = () => {},
  ): Promise<GroupWorker> {
    const worker = new GroupWorker(new WebSocket(`ws://${address}/api/v1/subscribe`), request, onEvent);
    await worker.#joined.promise;
    return worker;
  }

  ack({ lane, shard, offset }: GroupEvent): void {
    this.#send({ type: "ack", id: "w", events: [[`${lane}/${shard}`, offset]] });
  }

  nack({ lane, shard, offset }: GroupEvent): void {
    this.#send({ type: "nack", id: "w", events: [[`${lane}/${shard}`, offset]] });
  }

  /** Settles when the condition holds; it is looked at whenever a message comes. */
  async until(isThere: () => boolean): Promise<void> {
    while (!isThere()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.#socket.close();
  }

  #send(message: object): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}
