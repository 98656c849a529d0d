import { afterAll, beforeAll, expect, test } from "bun:test";
import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { syncDirectory } from "../../src/system/directory-sync.ts";
import { preallocate } from "../../src/system/fallocate.ts";
import { TemporaryFolder } from "../support/temp.ts";

let folder: TemporaryFolder;
beforeAll(() => {
  folder = new TemporaryFolder("system");
});
afterAll(() => folder.remove());

test("preallocate() makes the file that long, reserves its blocks, and keeps what is in it", () => {
  const descriptor = openSync(folder.path("segment"), "w+");
  try {
    writeSync(descriptor, Buffer.from("kept"));
    expect(preallocate(descriptor, 1 << 20)).toBe(true);
    const { size, blocks } = fstatSync(descriptor);
    expect(size).toBe(1 << 20);
    expect(blocks * 512).toBeGreaterThanOrEqual(1 << 20);
    const bytes = Buffer.alloc(6);
    readSync(descriptor, bytes, 0, 6, 0);
    expect(bytes.toString("latin1")).toBe("kept\0\0");
  } finally {
    closeSync(descriptor);
  }
});

test("preallocate() takes sizes beyond 32 bits", () => {
  const descriptor = openSync(folder.path("large"), "w+");
  try {
    // More than any disk has: refused as a whole, not cut to its low 32 bits.
    expect(preallocate(descriptor, 2 ** 52)).toBe(false);
    expect(fstatSync(descriptor).size).toBe(0);
  } finally {
    closeSync(descriptor);
  }
});

test("preallocate() answers false for a file that is not open for writing", () => {
  const descriptor = openSync("/proc/self/stat", "r");
  try {
    expect(preallocate(descriptor, 4096)).toBe(false);
  } finally {
    closeSync(descriptor);
  }
});

test("syncDirectory() syncs a directory and throws for one that is not there", () => {
  syncDirectory(folder.path("."));
  expect(() => syncDirectory(folder.path("absent"))).toThrow("ENOENT");
});
