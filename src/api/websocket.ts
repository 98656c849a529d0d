/**
 * One WebSocket client: JSON in text messages, the frames of docs/protocol.md in binary ones. A client
 * may use both; each kind is answered in its own kind.
 *
 * Text, client → server: {"type": "subscribe" | "confirm" | "ack" | "nack" | "extend" |
 *                         "publish" | "ping", …}
 *       server → client: {"type": "event" | "subscribed" | "published" | "pong" | "error", …}
 *
 * Events are read from the log only while the socket's buffer is short; a client that lets its answers
 * pile up is disconnected.
 */
import type { ServerWebSocket } from "bun";
import { BadRequest, readConfirm, readSubscription, type SubscriptionRequest } from "../deliver/request.ts";
import type { EventView } from "../deliver/subscription.ts";
import type { Subscriptions } from "../deliver/subscriptions.ts";
import type { Caller } from "../auth/caller.ts";
import type { RateLimit } from "../auth/rate.ts";
import type { ErrorCode } from "../errors.ts";
import { LISTENERS } from "../event/frame.ts";
import type { Behind } from "../ingest/laggards.ts";
import type { SessionSocket } from "../ingest/session-context.ts";
import { Session } from "../ingest/session.ts";
import { parseJson } from "./body.ts";
import { jsonEvent } from "./event-json.ts";
import { groupEvent } from "./group-event.ts";
import { Memberships } from "./memberships.ts";
import { resultOf, submissionOf, withheld } from "./submission.ts";
import type { ApiCaller } from "./route.ts";
import { acksQuery } from "./schemas.ts";
import type { WebSockets } from "./websockets.ts";

/** Above this nothing more is read from the log for the client. */
const BUFFER_BYTES_SOFT = 512 * 1024;
/** Above this the client has ignored its answers for too long. */
export const BUFFER_BYTES_MAX = 16 * 1024 * 1024;
/** Binary messages kept while a lane is full: the runtime cannot stop reading a WebSocket. */
const PAUSED_BYTES_MAX = 16 * 1024 * 1024;
const TURN_LIMITS = { countMax: 256, bytesMax: 256 * 1024 };

/** What hangs on a socket. */
export interface SocketData {
  /** Made by the request's query. */
  readonly request: SubscriptionRequest | undefined;
  /** For the log. */
  readonly name: string;
  readonly who: ApiCaller;
  client?: WebSocketClient;
}

export class WebSocketClient {
  readonly #sockets: WebSockets;
  readonly #socket: ServerWebSocket<SocketData>;
  #subscriptions: Subscriptions | undefined;
  #memberships: Memberships | undefined;
  #session: Session | undefined;
  #pausedBytes = -1;
  readonly #caller: Caller;
  readonly #rate: RateLimit | undefined;
  readonly #unwatch: () => void;
  readonly #unwatchSlow: () => void;

  constructor(sockets: WebSockets, socket: ServerWebSocket<SocketData>) {
    this.#sockets = sockets;
    this.#socket = socket;
    const { caller, rate, watch } = socket.data.who;
    this.#caller = caller;
    this.#rate = rate;
    sockets.session.source.countOpened("ws");
    // 1008: the connection breaks a policy (RFC 6455).
    this.#unwatch = watch((reason) => socket.close(1008, reason));
    this.#unwatchSlow = sockets.context.slow.watch("ws", {
      name: socket.data.name,
      subscriptions: { furthestBehind: () => this.#furthestBehind() },
    });
  }

  /** Opens a subscription whose events come as JSON. */
  subscribe(request: SubscriptionRequest): void {
    this.#subscriptions ??= this.#sockets.openSubscriptions((problem, id) => this.#refuse(problem, { id }));
    const problem = this.#subscriptions.subscribe(request);
    if (problem) this.#refuse(problem, { id: request.id });
    else this.#send({ type: "subscribed", id: request.id });
  }

  receiveText(message: string): void {
    const parsed = parseJson(Buffer.from(message));
    if ("problem" in parsed) return this.#error("USAGE", parsed.problem, {});
    const { value } = parsed;
    if (typeof value !== "object" || value === null || Array.isArray(value) || !("type" in value)) {
      return this.#error("USAGE", 'A message is a JSON object with a "type"', {});
    }
    const fields: Record<string, unknown> = { ...value };
    switch (fields["type"]) {
      case "subscribe":
        return this.#subscribeBy(fields);
      case "confirm":
        return this.#confirmBy(fields);
      case "ack":
      case "nack":
      case "extend":
        return this.#settleBy(fields);
      case "publish":
        return void this.#publishBy(fields);
      case "ping":
        return this.#send({ type: "pong" });
      default:
        return this.#error("USAGE", "type is not subscribe, confirm, ack, nack, extend, publish or ping", {});
    }
  }

  receiveBinary(message: Uint8Array): void {
    this.#session ??= this.#openSession();
    if (this.#session === undefined) return;
    if (this.#pausedBytes >= 0) {
      this.#pausedBytes += message.length;
      if (this.#pausedBytes > PAUSED_BYTES_MAX) {
        this.#socket.close(1013, "The lane is full: wait for acknowledgements");
        return;
      }
    }
    this.#session.receive(message);
  }

  /** Sends what subscribers wait for. @returns Whether more is ready now. */
  pump(): boolean {
    const more = this.#session?.pump() ?? false;
    const subscriptions = this.#subscriptions;
    if (subscriptions === undefined || this.#socket.getBufferedAmount() > BUFFER_BYTES_SOFT) return more;
    try {
      subscriptions.next((event, id) => this.#sendEvent(event, id), TURN_LIMITS);
    } catch (error) {
      // Only the file system throws here; the subscriber may come back to where it was.
      this.#error("LOG_UNAVAILABLE", `The log cannot be read: ${error}`, {});
      this.end();
      return more;
    }
    return subscriptions.hasMore || more;
  }

  drained(): void {
    this.#session?.drained();
    this.#sockets.context.turns.wake();
  }

  closed(): void {
    this.#sockets.session.source.countClosed("ws");
    this.#unwatch();
    this.#unwatchSlow();
    this.#subscriptions?.close();
    this.#memberships?.close();
    this.#session?.socketClosed();
  }

  /** The server takes no more events. */
  quiesce(): void {
    const session = this.#session;
    if (session === undefined || !session.isOpen) return;
    session.sendError({ code: "SHUTTING_DOWN", message: "The server is shutting down" });
    session.end();
  }

  /** The server is going down. */
  end(): void {
    this.#socket.close(1001, "The server is going away");
  }

  /** Of text and frames. */
  #furthestBehind(): Behind | undefined {
    const text = this.#subscriptions?.furthestBehind();
    const frames = this.#session?.subscriptions?.furthestBehind();
    return (text?.lag ?? -1) >= (frames?.lag ?? -1) ? text : frames;
  }

  #subscribeBy(fields: Record<string, unknown>): void {
    if (fields["group"] !== undefined) return this.#joinBy(fields);
    const request = readSubscription(fields);
    if (request instanceof BadRequest) return this.#refuse(request, { id: fields["id"] });
    if (this.#mayReceive(request.topics, request.id)) this.subscribe(request);
  }

  /** Whether the caller may receive all that the patterns match; if not, it is told so. */
  #mayReceive(topics: readonly string[], id: unknown): boolean {
    const uncovered = this.#caller.uncovered("subscribe", topics);
    if (uncovered === undefined) return true;
    this.#error("FORBIDDEN", `No permission to subscribe to "${uncovered.slice(0, 255)}"`, { id });
    return false;
  }

  /** Becomes a member of a consumer group. */
  #joinBy({ type: _, ...fields }: Record<string, unknown>): void {
    const { context } = this.#sockets;
    const { id: joinId, topics = [">"] } = fields;
    const patterns = Array.isArray(topics) ? topics.filter((topic) => typeof topic === "string") : [];
    if (!this.#mayReceive(patterns, joinId)) return;
    this.#memberships ??= new Memberships(context.groups, {
      hasRoom: () => this.#socket.getBufferedAmount() <= BUFFER_BYTES_SOFT,
      deliver: (subscription, entry) => {
        const { id, ...rest } = groupEvent(entry);
        this.#send({ type: "event", subscription, ...rest, ...(id === undefined ? {} : { id }) });
      },
    });
    const joined = this.#memberships.join(fields);
    if (joined instanceof BadRequest) this.#refuse(joined, { id: fields["id"] });
    else this.#send({ type: "subscribed", id: joined });
  }

  #settleBy({ type, ...fields }: Record<string, unknown>): void {
    const answer = this.#memberships?.settle(String(type), fields) ??
      new BadRequest("It is no member of a group");
    if (answer instanceof BadRequest) this.#refuse(answer, { id: fields["id"] });
    else this.#send({ type: "settled", ...answer });
  }

  #confirmBy(fields: Record<string, unknown>): void {
    const request = readConfirm(fields);
    if (request instanceof BadRequest) return this.#refuse(request, { id: fields["id"] });
    if (this.#subscriptions === undefined) {
      return this.#error("USAGE", "Nothing is subscribed", { id: request.id });
    }
    const problem = this.#subscriptions.confirm(request);
    if (problem) this.#refuse(problem, { id: request.id });
    // Room in `max_in_flight`: what waited for it can go out.
    else this.#sockets.context.turns.wake();
  }

  async #publishBy(fields: Record<string, unknown>): Promise<void> {
    const { type: _, ref, acks: wanted, ...event } = fields;
    const place = ref === undefined ? {} : { ref };
    const acks = acksQuery.safeParse(wanted === undefined ? {} : { acks: wanted });
    if (!acks.success) return this.#error("USAGE", "acks is not none, accepted or durable", place);
    const { publisher, meters, engine } = this.#sockets.context;
    const waitMs = this.#rate?.waitMs(meters.nowUs()) ?? 0;
    if (waitMs > 0) {
      engine.source.countRejected(LISTENERS.indexOf("ws"), "rate_limited", 1);
      return this.#error("RATE_LIMITED", `Too many events: wait ${Math.ceil(waitMs)} ms`, place);
    }
    const submission = submissionOf(event);
    this.#rate?.take(meters.nowUs(), 1, "payload" in submission ? Buffer.byteLength(submission.payload) : 0);
    const [outcome] = await publisher.publish(withheld(this.#caller, [submission]), acks.data.acks, "ws");
    if (outcome === undefined) return;
    if (outcome.ok) this.#send({ type: "published", ...place, ...resultOf(outcome) });
    else this.#error(outcome.code, outcome.message, place);
  }

  #sendEvent(event: EventView, id: string): void {
    const { id: messageId, ...rest } = jsonEvent(event);
    this.#send({
      type: "event",
      subscription: id,
      ...rest,
      ...(messageId === undefined ? {} : { id: messageId }),
    });
  }

  #refuse(problem: BadRequest, place: object): void {
    this.#error("USAGE", problem.message, place);
  }

  #error(code: ErrorCode, message: string, place: object): void {
    this.#send({ type: "error", code, message, ...place });
  }

  #send(message: object): void {
    this.#socket.sendText(JSON.stringify(message), this.#sockets.isCompressing);
    if (this.#socket.getBufferedAmount() > BUFFER_BYTES_MAX) this.#socket.terminate();
  }

  #openSession(): Session | undefined {
    const { session: context } = this.#sockets;
    if (context.source.freeSlots === 0) {
      this.#socket.close(1013, "Too many connections");
      return undefined;
    }
    const session = new Session(
      context,
      this.#sessionSocket(),
      (sink) => context.source.openConnection("ws", "none", sink),
    );
    // The request that opened the socket has said who it is.
    if (context.auth !== undefined) session.admit(this.#caller);
    return session;
  }

  /** The socket as a session sees it. A message always holds whole frames: it is sent whole or not at all. */
  #sessionSocket(): SessionSocket {
    const socket = this.#socket;
    return {
      write: (bytes, byteOffset, byteLength) => {
        if (socket.readyState !== WebSocket.OPEN) return -1;
        if (socket.getBufferedAmount() > BUFFER_BYTES_SOFT) return 0;
        // 0: dropped, the socket is gone. -1: buffered by the runtime, which is as good as sent.
        return socket.sendBinary(bytes.subarray(byteOffset, byteOffset + byteLength)) === 0 ? -1 : byteLength;
      },
      pause: () => {
        this.#pausedBytes = 0;
      },
      resume: () => {
        this.#pausedBytes = -1;
      },
      shutdown: () => socket.close(1000),
      end: () => socket.close(1000),
      terminate: () => socket.terminate(),
    };
  }
}
