/**
 * The C library, where there is one to call: glibc or musl on Linux.
 *
 * Everything built on it is an improvement and has a fallback, so a missing library or symbol is an
 * `undefined`, not an error. `errno` cannot be read reliably (the runtime makes calls of its own in
 * between): callers decide by the return value alone.
 */
import { dlopen, type FFIFunction, type Library } from "bun:ffi";

const LIBRARIES: readonly string[] = ({
  linux: ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"],
} as Readonly<Record<string, readonly string[]>>)[process.platform] ?? [];

/**
 * Binds functions of the C library for the calling thread. Costs about a millisecond: call it once.
 *
 * @returns The bound functions, or `undefined` when there is no library or it lacks one of them.
 */
export function bindLibc<T extends Record<string, FFIFunction>>(
  functions: T,
): Library<T>["symbols"] | undefined {
  for (const library of LIBRARIES) {
    try {
      return dlopen(library, functions).symbols;
    } catch {
      // Not this one: the other C library, or none.
    }
  }
  return undefined;
}
