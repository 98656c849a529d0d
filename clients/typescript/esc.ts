/** The client for every runtime with WebSockets, browsers included: nothing here needs Node. TCP is in `tcp.ts`. */
export { Client, type ClientOptions, type ReconnectOptions } from "../../src/client/client.ts";
export type { Refusal } from "../../src/client/connection.ts";
export { EventCursor } from "../../src/client/events.ts";
export { EventStream, type ReceivedEvent, type StreamOptions } from "../../src/client/event-stream.ts";
export type {
  EventsHandler,
  StartAt,
  SubscribeOptions,
  Subscription,
} from "../../src/client/subscription.ts";
export type { Dial, Transport, TransportEvents } from "../../src/client/transport.ts";
export { dialWebSocket, type WebSocketAddress } from "../../src/client/websocket.ts";
export { EscError } from "../../src/errors.ts";
export { type DecodedEvent, decodeFrame } from "../../src/event/decode.ts";
export { encodeFrame, eventProblem, type OutgoingEvent } from "../../src/event/encode.ts";
