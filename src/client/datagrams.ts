/**
 * Sends events over UDP: frames packed into datagrams. There are no answers, and what a full server or the
 * network drops is lost; `esc` counts the datagrams it refuses.
 */
import { EscError } from "../errors.ts";
import { encodeEvent, eventProblem, frameBytesOf, type OutgoingEvent } from "../event/encode.ts";
import { FRAME_PREFIX_BYTES } from "../event/frame.ts";
import { type Address, unreachable } from "./tcp.ts";

/** Datagrams up to here pass an Ethernet without being cut into pieces: 1,500 less IP and UDP headers, and a tunnel. */
export const DATAGRAM_BYTES_DEFAULT = 1_400;
/** Most bytes UDP over IPv4 carries. */
export const DATAGRAM_BYTES_MAX = 65_507;

/** An open UDP socket towards one server. */
export class DatagramSender {
  /** Datagrams handed to the operating system. */
  datagramCount = 0;
  /** Events in them. */
  eventCount = 0;
  readonly #bytesMax: number;
  readonly #buffer = new Uint8Array(DATAGRAM_BYTES_MAX);
  #length = 0;
  #packedCount = 0;
  #socket: Bun.udp.ConnectedSocket<"uint8array"> | undefined;
  #roomWaiter: PromiseWithResolvers<void> | undefined;

  private constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * @param bytesMax Datagrams are filled up to here; a larger event has one of its own.
   * @throws {EscError} `SERVER_UNREACHABLE` when the host is unknown. A server that is down cannot be noticed.
   */
  static async open(address: Address, bytesMax = DATAGRAM_BYTES_DEFAULT): Promise<DatagramSender> {
    const sender = new DatagramSender(bytesMax);
    try {
      sender.#socket = await Bun.udpSocket({
        binaryType: "uint8array",
        connect: { hostname: address.host, port: address.port },
        socket: {
          drain: () => {
            sender.#roomWaiter?.resolve();
            sender.#roomWaiter = undefined;
          },
          // ICMP "port unreachable" of an earlier datagram: UDP promises nothing, so neither do we.
          error: () => {},
        },
      });
    } catch (cause) {
      throw unreachable(address, cause);
    }
    return sender;
  }

  /**
   * Packs one event into the current datagram, and sends the one before if it does not fit.
   *
   * @returns `false` when the operating system takes no more now and the event was not taken: await `room()`.
   * @throws {EscError} `USAGE` when the event is malformed or larger than a datagram.
   */
  publish(event: OutgoingEvent): boolean {
    const problem = eventProblem(event, DATAGRAM_BYTES_MAX - FRAME_PREFIX_BYTES);
    if (problem !== undefined) throw new EscError("USAGE", `Cannot publish over UDP: ${problem}`);
    if (!this.#makeRoom(frameBytesOf(event))) return false;
    this.#length = encodeEvent(this.#buffer, this.#length, event);
    this.#packedCount++;
    return true;
  }

  /** The same for one frame that is encoded already: `bytes[at..end)`, at most a datagram. */
  publishFrame(bytes: Uint8Array, at: number, end: number): boolean {
    if (!this.#makeRoom(end - at)) return false;
    this.#buffer.set(bytes.subarray(at, end), this.#length);
    this.#length += end - at;
    this.#packedCount++;
    return true;
  }

  /** Sends what is packed. @returns `false` when the operating system takes no more now: await `room()`. */
  flush(): boolean {
    if (this.#length === 0) return true;
    if (this.#socket?.send(this.#buffer.subarray(0, this.#length)) !== true) return false;
    this.datagramCount++;
    this.eventCount += this.#packedCount;
    this.#length = 0;
    this.#packedCount = 0;
    return true;
  }

  /** Resolves when the operating system takes datagrams again. */
  room(): Promise<void> {
    this.#roomWaiter ??= Promise.withResolvers();
    return this.#roomWaiter.promise;
  }

  /** Sends what is packed and closes. */
  async close(): Promise<void> {
    while (!this.flush()) await this.room();
    this.#socket?.close();
    this.#socket = undefined;
  }

  #makeRoom(frameBytes: number): boolean {
    return this.#length === 0 || this.#length + frameBytes <= this.#bytesMax || this.flush();
  }
}
