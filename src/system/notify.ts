/**
 * Telling the service manager how the server is doing: the datagrams of sd_notify(3).
 *
 * Main thread. A message is one datagram of `KEY=value` lines to the Unix socket that the manager names in
 * NOTIFY_SOCKET; `@name` is a socket of the abstract namespace, whose address starts with a zero byte. The
 * runtime has no Unix datagram sockets, so this calls the C library.
 */
import { ptr } from "bun:ffi";
import { closeSync } from "node:fs";
import { monotonicNs } from "./clock.ts";
import { bindLibc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const MSG_NOSIGNAL = 0x4000;
/** sockaddr_un: u16 family, then 108 bytes of path. */
const PATH_BYTES_MAX = 108;

function bind() {
  return bindLibc({
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    sendto: { args: ["i32", "ptr", "usize", "i32", "ptr", "u32"], returns: "i32" },
  });
}

/** Speaks to the service manager, or does nothing when there is none. */
export class ServiceNotifier {
  readonly #libc: ReturnType<typeof bind>;
  readonly #address: Uint8Array<ArrayBuffer> | undefined;
  #descriptor = -1;

  /** @param socketPath Value of NOTIFY_SOCKET, or `undefined` when not started by a service manager. */
  constructor(socketPath: string | undefined) {
    this.#address = socketPath === undefined ? undefined : socketAddress(socketPath);
    this.#libc = this.#address === undefined ? undefined : bind();
    this.#descriptor = this.#libc?.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) ?? -1;
  }

  /** Start-up or reload is done: clients may connect. */
  ready(status?: string): boolean {
    return this.send(status === undefined ? "READY=1" : `READY=1\nSTATUS=${oneLine(status)}`);
  }

  /** The configuration is being read again; `ready()` ends it. */
  reloading(): boolean {
    return this.send(`RELOADING=1\nMONOTONIC_USEC=${Math.trunc(monotonicNs() / 1000)}`);
  }

  /** Shutdown has begun. */
  stopping(): boolean {
    return this.send("STOPPING=1");
  }

  /** One line for `systemctl status`. */
  status(text: string): boolean {
    return this.send(`STATUS=${oneLine(text)}`);
  }

  /** The main loop is alive: due at least every WATCHDOG_USEC, see `watchdogIntervalMs()`. */
  watchdog(): boolean {
    return this.send("WATCHDOG=1");
  }

  /**
   * Sends one message of newline-separated assignments.
   *
   * @returns Whether the manager's socket took it. `false` without a manager, which is no error.
   */
  send(message: string): boolean {
    if (this.#libc === undefined || this.#address === undefined || this.#descriptor < 0) return false;
    const bytes = new TextEncoder().encode(message);
    const sent = this.#libc.sendto(
      this.#descriptor,
      ptr(bytes),
      bytes.length,
      MSG_NOSIGNAL,
      ptr(this.#address),
      this.#address.length,
    );
    return sent === bytes.length;
  }

  close(): void {
    if (this.#descriptor >= 0) closeSync(this.#descriptor);
    this.#descriptor = -1;
  }
}

/**
 * How often the service manager wants to hear `watchdog()`: half of its patience.
 *
 * @param env The process environment, for WATCHDOG_USEC and WATCHDOG_PID.
 * @param pid This process: the variables may be meant for another that passed them on.
 * @returns Milliseconds, or `undefined` when nobody watches.
 */
export function watchdogIntervalMs(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): number | undefined {
  const patienceUs = Number(env["WATCHDOG_USEC"]);
  if (!Number.isInteger(patienceUs) || patienceUs <= 0) return undefined;
  if (env["WATCHDOG_PID"] !== undefined && env["WATCHDOG_PID"] !== String(pid)) return undefined;
  return Math.max(1, Math.trunc(patienceUs / 2000));
}

/** The bytes of a sockaddr_un, or `undefined` for an address that is none (relative, too long, vsock). */
function socketAddress(path: string): Uint8Array<ArrayBuffer> | undefined {
  const abstract = path.startsWith("@");
  if (!abstract && !path.startsWith("/")) return undefined;
  const name = new TextEncoder().encode(path);
  // A path is ended by a zero byte; an abstract name is exactly as long as the address says.
  const length = 2 + name.length + (abstract ? 0 : 1);
  if (length > 2 + PATH_BYTES_MAX) return undefined;
  const address = new Uint8Array(new ArrayBuffer(length));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  if (abstract) address[2] = 0;
  return address;
}

/** A newline would start another assignment. */
function oneLine(text: string): string {
  return text.replaceAll("\n", " ");
}
