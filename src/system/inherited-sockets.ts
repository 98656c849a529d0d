/**
 * Sockets that the service manager listens on for us: the protocol of sd_listen_fds(3).
 *
 * They stay open while esc is restarted, so clients that connect meanwhile wait in the kernel's queue instead of
 * being refused. The descriptors themselves are kept: every listener gets a copy, and may close it.
 */
import { ptr } from "bun:ffi";
import { bindLibc } from "./libc.ts";

/** The first descriptor that is passed on. */
const FIRST = 3;
const DESCRIPTORS_MAX = 64;
const F_DUPFD_CLOEXEC = 1030;
/** `struct sockaddr_in6`. */
const ADDRESS_BYTES_MAX = 28;

function bind() {
  return bindLibc({
    fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
    getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  });
}

/**
 * What was passed to this process, by name (`FileDescriptorName=`); those without a name are called `unknown`.
 *
 * @param pid Of this process: descriptors for another one are not ours.
 */
export function inheritedSockets(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): ReadonlyMap<string, number> {
  const count = Number(env["LISTEN_FDS"] ?? 0);
  if (env["LISTEN_PID"] !== String(pid) || !Number.isInteger(count) || count < 1) return new Map();
  const names = (env["LISTEN_FDNAMES"] ?? "").split(":");
  return new Map(
    Array.from(
      { length: Math.min(count, DESCRIPTORS_MAX) },
      (_, index) => [names[index] || "unknown", FIRST + index],
    ),
  );
}

/** Another descriptor of the same socket. @throws {RangeError} If there is no such descriptor. */
export function copyDescriptor(descriptor: number): number {
  const copy = bind()?.fcntl(descriptor, F_DUPFD_CLOEXEC, FIRST) ?? -1;
  if (copy < 0) throw new RangeError(`Descriptor ${descriptor} is not open`);
  return copy;
}

/** Port that a socket is bound to; 0 where it cannot be told. */
export function portOfSocket(descriptor: number): number {
  const address = new DataView(new ArrayBuffer(ADDRESS_BYTES_MAX));
  const length = Uint32Array.of(ADDRESS_BYTES_MAX);
  const status = bind()?.getsockname(descriptor, ptr(address), ptr(length)) ?? -1;
  return status === 0 ? address.getUint16(2) : 0;
}
