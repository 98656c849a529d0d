/**
 * Sockets that listen on one port together (SO_REUSEPORT), and which of them takes new connections. Linux.
 *
 * The kernel keeps the sockets of a port in the order in which they began to listen, and fills the place of
 * one that closes with the last. A program of one instruction says which place new connections go to; a
 * place that is not there any more means: spread them over all.
 */
import { ptr } from "bun:ffi";
import { readdirSync } from "node:fs";
import { bindLibc } from "./libc.ts";

const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const SO_ATTACH_REUSEPORT_CBPF = 51;
const AF_INET = 2;
const AF_INET6 = 10;
/** `struct sockaddr_in6`, the longest one that matters. */
const ADDRESS_BYTES_MAX = 28;
/** Classic BPF: BPF_RET | BPF_K, answer a constant. */
const RETURN_CONSTANT = 0x06;

let libc: ReturnType<typeof bind> | null = null;

function bind() {
  return bindLibc({
    setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
    getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
    getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  });
}

/** Descriptors of this process that listen on a TCP port; none where the system does not tell. */
export function listeningDescriptors(port: number): Set<number> {
  libc ??= bind();
  if (libc === undefined) return new Set();
  const found = new Set<number>();
  const value = new Int32Array(new ArrayBuffer(4));
  const length = new Uint32Array(new ArrayBuffer(4));
  const address = new DataView(new ArrayBuffer(ADDRESS_BYTES_MAX));
  for (const name of openDescriptors()) {
    length[0] = 4;
    // Everything that is no socket fails here.
    if (libc.getsockopt(name, SOL_SOCKET, SO_ACCEPTCONN, ptr(value), ptr(length)) !== 0) continue;
    if (value[0] !== 1) continue;
    length[0] = ADDRESS_BYTES_MAX;
    if (libc.getsockname(name, ptr(address), ptr(length)) !== 0) continue;
    const family = address.getUint16(0, true);
    const isTcp = family === AF_INET || family === AF_INET6;
    if (isTcp && address.getUint16(2) === port) found.add(name);
  }
  return found;
}

/**
 * Sends new connections of the port to one of the sockets that listen on it.
 *
 * @param descriptor Any of them.
 * @param place Its number, in the order in which they began to listen.
 * @returns `false` where the system has no such thing.
 */
export function steerConnections(descriptor: number, place: number): boolean {
  libc ??= bind();
  if (libc === undefined) return false;
  // struct sock_filter { u16 code; u8 jt, jf; u32 k }
  const program = new DataView(new ArrayBuffer(8));
  program.setUint16(0, RETURN_CONSTANT, true);
  program.setUint32(4, place, true);
  // struct sock_fprog { u16 length; padding; struct sock_filter *filter }
  const described = new DataView(new ArrayBuffer(16));
  described.setUint16(0, 1, true);
  described.setBigUint64(8, BigInt(ptr(program)), true);
  return libc.setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, ptr(described), 16) === 0;
}

function openDescriptors(): number[] {
  try {
    return readdirSync("/proc/self/fd").map(Number);
  } catch {
    return [];
  }
}
