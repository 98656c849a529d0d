/**
 * The UDP listener: whole frames in datagrams, no answers, no waiting.
 *
 * A datagram holds one or more frames. A bad event is skipped and counted; what follows a lost framing or
 * a cut frame is counted once. When the engine has no room the datagram's events are refused and counted
 * as `backpressure`: a datagram cannot be told to wait.
 */
import type { udp } from "bun";
import { readFileSync } from "node:fs";
import { EscError } from "../errors.ts";
import { LISTENERS, REJECT_REASONS } from "../event/frame.ts";
import {
  FrameScanner,
  SCAN_BAD_EVENT,
  SCAN_CONTROL,
  SCAN_FRAMING_LOST,
  SCAN_NEED_MORE,
} from "../event/scan.ts";
import { AddressSet } from "../auth/addresses.ts";
import { TopicGate } from "../auth/topic-gate.ts";
import { compilePatterns } from "../event/topic.ts";
import { frameLength, framePriority } from "../event/ext.ts";
import { count } from "../metrics/counters.ts";
import { SOURCE_DATAGRAMS } from "../metrics/layout.ts";
import { setReceiveBuffer } from "../system/socket-options.ts";
import type { Connection, ConnectionSink, Source } from "./source.ts";
import { listenError } from "./tcp.ts";

/** Largest payload of a UDP datagram over IPv4. */
export const DATAGRAM_BYTES_MAX = 65_507;
const PRIORITIES = 5;
const LISTENER = LISTENERS.indexOf("udp");

export interface UdpListenerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly maxFrameBytes: number;
  /** Receive buffer to ask of the kernel. */
  readonly receiveBufferBytes: number;
  /** Absent: everybody, to all topics. */
  readonly allow?: UdpAllowance;
}

/** Who may send datagrams, and to which topics. */
export interface UdpAllowance {
  readonly sources: readonly string[];
  readonly publish: readonly string[];
}

/** Nobody hears of a datagram's verdict. */
const NO_SINK: ConnectionSink = { progress: () => {}, problem: () => {} };

export class UdpListener {
  /** Bytes of receive buffer the kernel granted; 0 when it could not be set. */
  readonly receiveBufferBytes: number;
  readonly #source: Source;
  readonly #scanner: FrameScanner;
  readonly #socket: udp.Socket<"uint8array">;
  readonly #inode: string;
  readonly #nowUs: () => number;
  /** Both absent where everybody may send. */
  #sources: AddressSet | undefined;
  #gate: TopicGate | undefined;
  /** One a priority, so that a full lane refuses its own events only. */
  readonly #connections: readonly Connection[];

  private constructor(
    socket: udp.Socket<"uint8array">,
    source: Source,
    options: UdpListenerOptions,
    nowUs: () => number,
  ) {
    this.#socket = socket;
    this.#source = source;
    this.#nowUs = nowUs;
    this.#scanner = new FrameScanner(Math.min(options.maxFrameBytes, DATAGRAM_BYTES_MAX));
    const descriptor = descriptorOf(socket);
    this.receiveBufferBytes = descriptor < 0 ? 0 : setReceiveBuffer(descriptor, options.receiveBufferBytes);
    this.#inode = socketInode(this.port);
    if (options.allow !== undefined) this.allow(options.allow);
    this.#connections = Array.from({ length: PRIORITIES }, () => {
      const connection = source.openConnection("udp", "none", NO_SINK);
      if (connection === undefined) {
        throw new EscError("TOO_MANY_CONNECTIONS", "No connection slot is free for UDP");
      }
      return connection;
    });
  }

  /** @throws {EscError} ADDRESS_IN_USE, or USAGE for an address that cannot be bound. */
  static async open(
    options: UdpListenerOptions,
    parts: { source: Source; nowUs: () => number; onDefect: (error: unknown) => void },
  ): Promise<UdpListener> {
    const bound: { listener?: UdpListener } = {};
    let socket: udp.Socket<"uint8array">;
    try {
      socket = await Bun.udpSocket<"uint8array">({
        hostname: options.host,
        port: options.port,
        binaryType: "uint8array",
        socket: {
          data: (_socket, datagram, _port, address) => {
            try {
              bound.listener?.receive(datagram, address);
            } catch (error) {
              parts.onDefect(error);
            }
          },
          error: (_socket, error) => parts.onDefect(error),
        },
      });
    } catch (error) {
      throw listenError(error, "UDP", options.host, options.port);
    }
    return bound.listener = new UdpListener(socket, parts.source, options, parts.nowUs);
  }

  get port(): number {
    return this.#socket.port;
  }

  /** From the next datagram on only these may send. */
  allow({ sources, publish }: UdpAllowance): void {
    this.#sources = new AddressSet(sources);
    this.#gate = new TopicGate(compilePatterns(publish));
  }

  /** Datagrams the kernel dropped because the receive buffer was full; 0 where the kernel does not say. */
  kernelDrops(): number {
    const line = udpLines().find((fields) => fields[INODE] === this.#inode);
    return line === undefined ? 0 : Number(line[DROPS]);
  }

  /** Takes one datagram. @param address Where it says it comes from: anybody can write any address into it. */
  receive(datagram: Uint8Array, address: string): void {
    const source = this.#source;
    const scanner = this.#scanner;
    const receivedUs = this.#nowUs();
    count(source.counters, SOURCE_DATAGRAMS, 1);
    if (this.#sources?.has(address) === false) {
      // What is in it is not looked at: it counts as one event.
      source.countRejected(LISTENER, "unauthorized", 1);
      return;
    }
    const to = datagram.length;
    let at = 0;
    while (at < to) {
      const verdict = scanner.scan(datagram, at, to);
      if (scanner.count > 0) this.#offerAllowed(datagram, at, receivedUs);
      at = scanner.frameEnd;
      if (verdict === SCAN_BAD_EVENT) {
        source.countRejected(LISTENER, REJECT_REASONS[scanner.reason] ?? "bad_head", 1);
      } else if (verdict === SCAN_CONTROL) {
        source.countRejected(LISTENER, "bad_control", 1);
      } else if (verdict === SCAN_FRAMING_LOST) {
        source.countRejected(LISTENER, "bad_length", 1);
        break;
      } else if (verdict === SCAN_NEED_MORE) {
        if (scanner.end < to) source.countRejected(LISTENER, "truncated", 1);
        break;
      } else {
        at = scanner.end;
      }
    }
    if (to === 0) source.countRejected(LISTENER, "truncated", 1);
    source.publish();
  }

  close(): void {
    this.#socket.close();
    for (const connection of this.#connections) this.#source.closeConnection(connection);
  }

  /** Hands on the run the scanner has just found, without events whose topic is not allowed. */
  #offerAllowed(datagram: Uint8Array, at: number, receivedUs: number): void {
    const { end, count: eventCount } = this.#scanner;
    const gate = this.#gate;
    if (gate === undefined || gate.isOpen) {
      this.#offer(datagram, at, end, eventCount, receivedUs);
      return;
    }
    for (let from = at; from < end;) {
      const to = gate.pass(datagram, from, end);
      if (gate.count > 0) this.#offer(datagram, from, to, gate.count, receivedUs);
      from = to;
      if (to === end) return;
      this.#source.countRejected(LISTENER, "forbidden", 1);
      from += frameLength(datagram, to);
    }
  }

  #offer(datagram: Uint8Array, at: number, end: number, eventCount: number, receivedUs: number): void {
    const source = this.#source;
    const hasIds = this.#scanner.hasIds === 1;
    const connection = this.#connections[framePriority(datagram, at)] as Connection;
    const isTaken = !source.isBlocked(connection) &&
      source.offer(connection, datagram, at, end, eventCount, receivedUs, hasIds);
    if (!isTaken) source.countRejected(LISTENER, "backpressure", eventCount);
  }
}

/** The runtime has the descriptor on the object but not in its types. */
function descriptorOf(socket: object): number {
  const descriptor: unknown = Reflect.get(socket, "fd");
  return typeof descriptor === "number" ? descriptor : -1;
}

// Fields of a line of /proc/net/udp (proc_net_udp(5)).
const LOCAL = 1;
const INODE = 9;
const DROPS = 12;

function udpLines(): string[][] {
  const lines: string[][] = [];
  for (const file of ["/proc/net/udp", "/proc/net/udp6"]) {
    try {
      for (const line of readFileSync(file, "utf8").split("\n").slice(1)) {
        lines.push(line.trim().split(/\s+/));
      }
    } catch {
      // Not Linux, or no IPv6: there is nothing to report.
    }
  }
  return lines;
}

function socketInode(port: number): string {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return udpLines().find((fields) => fields[LOCAL]?.endsWith(suffix) === true)?.[INODE] ?? "";
}
