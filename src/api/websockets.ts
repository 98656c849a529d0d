/** All WebSocket clients of the server: opening, closing, and their part in main's turns. */
import type { WebSocketHandler } from "bun";
import { localConsumers } from "../deliver/consumer-link.ts";
import { eventsTargetBytesMin } from "../deliver/events-frame.ts";
import type { BadRequest } from "../deliver/request.ts";
import { Subscriptions } from "../deliver/subscriptions.ts";
import { FrameScanner } from "../event/scan.ts";
import type { SessionContext, SessionLimits } from "../ingest/session-context.ts";
import type { Session } from "../ingest/session.ts";
import type { ApiContext } from "./context.ts";
import type { Participant } from "./turns.ts";
import { BUFFER_BYTES_MAX, type SocketData, WebSocketClient } from "./websocket.ts";

export const WEBSOCKETS_MAX = 4096;

export interface WebSocketsOptions {
  /** Whether clients must say who they are; the request that opens the socket has said it. */
  readonly isGuarded: boolean;
  readonly limits: SessionLimits | undefined;
  readonly isCompressing: boolean;
}

/**
 * A window of 16 KiB for each client that asks for compression. One that is shared by all begins anew with every
 * message, which costs ten times as much.
 */
const DEFLATE = { compress: "16KB", decompress: "shared" } as const;

export class WebSockets implements Participant {
  readonly context: ApiContext;
  readonly session: SessionContext;
  /** Whether text is compressed for clients that ask for it. */
  readonly isCompressing: boolean;
  readonly #clients = new Set<WebSocketClient>();

  constructor(
    context: ApiContext,
    { isGuarded, limits, isCompressing }: WebSocketsOptions,
  ) {
    this.context = context;
    this.isCompressing = isCompressing;
    const { engine, turns, meters } = context;
    this.session = {
      source: engine.source,
      auth: isGuarded ? { identify: admitAgain } : undefined,
      limits,
      scanner: new FrameScanner(engine.maxFrameBytes),
      maxFrameBytes: engine.maxFrameBytes,
      serverVersion: engine.version,
      nowUs: meters.nowUs,
      wake: () => turns.wake(),
      openSubscriptions: (session) =>
        this.openSubscriptions((problem) =>
          session.sendError({ code: "BAD_CONTROL", message: problem.message })
        ),
      pumpTarget: new Uint8Array(eventsTargetBytesMin(engine.maxFrameBytes)),
      stalled: new Set(),
      ending: new Set(),
      onGone: () => {},
    };
  }

  get isFull(): boolean {
    return this.#clients.size >= WEBSOCKETS_MAX;
  }

  /** Whether sessions wait for something that rings no bell: room in the ring, or a deadline. */
  get isWaiting(): boolean {
    return this.session.stalled.size > 0 || this.session.ending.size > 0;
  }

  turn(): boolean {
    for (const session of this.session.stalled) session.retry();
    for (const session of this.session.ending) session.advanceEnd();
    let more = false;
    for (const client of this.#clients) more = client.pump() || more;
    return more;
  }

  /** What `Bun.serve` calls. */
  handlers(): WebSocketHandler<SocketData> {
    return {
      maxPayloadLength: Math.max(this.context.maxBodyBytes, this.session.maxFrameBytes + 4),
      backpressureLimit: BUFFER_BYTES_MAX * 2,
      perMessageDeflate: this.isCompressing ? DEFLATE : false,
      idleTimeout: 120,
      sendPings: true,
      open: (socket) => {
        const client = new WebSocketClient(this, socket);
        socket.data.client = client;
        this.#clients.add(client);
        if (socket.data.request) client.subscribe(socket.data.request);
      },
      message: (socket, message) => {
        if (typeof message === "string") socket.data.client?.receiveText(message);
        else socket.data.client?.receiveBinary(message);
      },
      drain: (socket) => socket.data.client?.drained(),
      close: (socket) => {
        const { client } = socket.data;
        if (client === undefined) return;
        this.#clients.delete(client);
        client.closed();
      },
    };
  }

  /** Subscriptions of one client. @param refuse Is told of one that could not be opened. */
  openSubscriptions(refuse: (problem: BadRequest, id: string) => void): Subscriptions {
    const { engine, tails, meters, turns } = this.context;
    return new Subscriptions({
      tails,
      meters,
      consumers: localConsumers(engine.consumers),
      onReady: () => turns.wake(),
      onRefused: (id, problem) => refuse(problem, id),
      onCountChange: (by) => turns.countSubscriptions(by),
    });
  }

  /** No more events from anybody: what was sent is acknowledged, then those connections close. */
  quiesce(): void {
    for (const client of this.#clients) client.quiesce();
  }

  /** Says goodbye to everybody. */
  close(): void {
    for (const client of this.#clients) client.end();
  }
}

/** A HELLO's token changes nothing here: the socket belongs to who opened it. */
function admitAgain(session: Session): void {
  const { caller } = session;
  queueMicrotask(() => {
    if (caller === undefined) session.deny("The socket was opened by nobody");
    else session.admit(caller);
  });
}
