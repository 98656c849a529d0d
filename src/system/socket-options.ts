/** Options of sockets that the runtime does not offer. Linux. */
import { ptr } from "bun:ffi";
import { bindLibc } from "./libc.ts";

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;

let libc: ReturnType<typeof bind> | null = null;

function bind() {
  return bindLibc({
    setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
    getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  });
}

/**
 * Asks the kernel for a receive buffer of `bytes` payload. With CAP_NET_ADMIN it is granted whole, else up to
 * `net.core.rmem_max`.
 *
 * @param descriptor An open socket.
 * @returns Bytes granted (half of what the kernel reports, as it doubles for its own bookkeeping), or 0 when
 *   this system has no such call or refused it.
 */
export function setReceiveBuffer(descriptor: number, bytes: number): number {
  libc ??= bind();
  if (libc === undefined) return 0;
  const value = new Int32Array(new ArrayBuffer(4));
  value[0] = bytes;
  if (libc.setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, ptr(value), 4) !== 0) {
    libc.setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, ptr(value), 4);
  }
  const length = new Uint32Array(new ArrayBuffer(4));
  length[0] = 4;
  if (libc.getsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, ptr(value), ptr(length)) !== 0) return 0;
  return (value[0] ?? 0) >>> 1;
}
