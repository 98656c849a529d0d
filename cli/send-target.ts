/** Where `esc send` sends to: a TCP connection that answers, or UDP datagrams that do not. */
import { Client, type ClientOptions } from "../src/client/client.ts";
import { DATAGRAM_BYTES_MAX, DatagramSender } from "../src/client/datagrams.ts";
import type { Address } from "../src/client/tcp.ts";
import { FRAME_PREFIX_BYTES, MAX_FRAME_BYTES_DEFAULT } from "../src/event/frame.ts";
import { encodeFrame, eventProblem, type OutgoingEvent } from "../src/event/encode.ts";
import { EscError } from "../src/errors.ts";
import { dialServer, serverAccess } from "./server-access.ts";

/** Takes events and gives an account of them at the end. */
export interface SendTarget {
  /** Longest body of an event frame it takes. */
  readonly bodyBytesMax: number;
  /** @returns `false` when there is no room now: await `room()` and try again. */
  publish(event: OutgoingEvent): boolean;
  room(): Promise<void>;
  /** Waits until everything is answered for, and closes. */
  finish(): Promise<void>;
  abort(): void;
  /** Events acknowledged as asked, or `undefined` where nothing is acknowledged. */
  acknowledgedCount(): number | undefined;
  /** Events the server refused. */
  refusedCount(): number;
}

/** Connects over TCP. @throws {EscError} `SERVER_UNREACHABLE` and what else `Client.connect()` throws. */
export async function openTcpTarget(
  address: Address,
  options: Omit<ClientOptions, "dial">,
): Promise<SendTarget> {
  const client = await Client.connect({ ...options, dial: dialServer(address), token: serverAccess().token });
  const { publisher } = client;
  return {
    bodyBytesMax: client.welcome?.max_frame_bytes ?? MAX_FRAME_BYTES_DEFAULT,
    publish: (event) => publisher.publish(event),
    room: () => publisher.room(),
    finish: () => client.close(),
    abort: () => client.abort(),
    acknowledgedCount: () =>
      options.acks === "none" ? undefined : publisher.answeredCount - publisher.refusedCount,
    refusedCount: () => publisher.refusedCount,
  };
}

/** Opens a UDP socket. @throws {EscError} `SERVER_UNREACHABLE` when the host is unknown. */
export async function openUdpTarget(address: Address): Promise<SendTarget> {
  const sender = await DatagramSender.open(address);
  return {
    bodyBytesMax: DATAGRAM_BYTES_MAX - FRAME_PREFIX_BYTES,
    publish: (event) => sender.publish(event),
    room: () => sender.room(),
    finish: () => sender.close(),
    abort: () => void sender.close(),
    acknowledgedCount: () => undefined,
    refusedCount: () => 0,
  };
}

/**
 * Longest payload that still makes an event of these fields.
 *
 * @param event What all events have in common; its payload does not matter.
 * @throws {EscError} `USAGE` when the fields themselves are wrong.
 */
export function payloadBytesMax(event: OutgoingEvent, bodyBytesMax: number): number {
  const problem = eventProblem({ ...event, payload: "" }, bodyBytesMax);
  if (problem !== undefined) throw new EscError("USAGE", `Cannot send: ${problem}`);
  return bodyBytesMax - (encodeFrame({ ...event, payload: "" }).length - FRAME_PREFIX_BYTES);
}
