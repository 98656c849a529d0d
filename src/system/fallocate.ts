/** Reserving the space of a file before it is written. */
import { bindLibc } from "./libc.ts";

let libc: ReturnType<typeof bind> | null = null;

function bind() {
  return bindLibc({ fallocate: { args: ["i32", "i32", "i64", "i64"], returns: "i32" } });
}

/**
 * Makes the file at least `bytes` long and reserves its blocks, so that later writes within it change no
 * metadata: `fdatasync` then costs a third. New space reads as zeros. May block for the disk.
 *
 * @param descriptor An open, writable file.
 * @returns `false` when nothing was reserved: no such call here, no space, or a file system that cannot.
 *   The file can be written all the same; a full disk shows itself at the write.
 */
export function preallocate(descriptor: number, bytes: number): boolean {
  libc ??= bind();
  return libc !== undefined && libc.fallocate(descriptor, 0, 0, bytes) === 0;
}
