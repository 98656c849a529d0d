import { afterEach, expect, test } from "bun:test";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { TarFiles } from "../../cli/backup/tar-files.ts";
import { decodePax, decodeTarHeader, encodeTarHeaders, TAR_BLOCK_BYTES } from "../../cli/backup/tar.ts";
import { openTarget } from "../../cli/backup/target.ts";
import { nodeFiles } from "../../src/log/node-files.ts";
import { TemporaryFolder } from "../support/temp.ts";

const folders: TemporaryFolder[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) folder.remove();
});

/** An archive of these files; its path. */
function archive(content: ReadonlyMap<string, Uint8Array>): string {
  const folder = new TemporaryFolder("tar");
  folders.push(folder);
  const target = openTarget(folder.path("made.tar"));
  for (const [path, bytes] of content) {
    writeFileSync(folder.path("file"), bytes);
    const handle = nodeFiles.openRead(folder.path("file"));
    target.add(path, { files: nodeFiles, handle, bytes: bytes.length });
    nodeFiles.close(handle);
  }
  target.finish("{}");
  return folder.path("made.tar");
}

test("files of every length and names of any length come back, and tar reads them too", () => {
  const content = new Map(
    [0, 1, 511, 512, 513, 3_000_000].map((length) => [
      `${"n".repeat(length % 251)}/ü-${length}`,
      new Uint8Array(length).fill(length & 0xff),
    ]),
  );
  const path = archive(content);
  const files = new TarFiles(path);
  for (const [name, bytes] of content) {
    const handle = files.openRead(`data/${name}`);
    expect(files.size(handle)).toBe(bytes.length);
    const read = new Uint8Array(bytes.length + 10);
    expect(files.read(handle, read, 0, read.length, 0)).toBe(bytes.length);
    expect(Buffer.from(read.subarray(0, bytes.length)).equals(bytes)).toBe(true);
    files.close(handle);
    expect(Buffer.from(Bun.spawnSync(["tar", "xOf", path, `data/${name}`]).stdout).equals(bytes)).toBe(true);
  }
  expect(() => files.openRead("data/other")).toThrow("There is no 'data/other'");
  files.dispose();
});

test("a file that has become shorter is filled up with zeros, and hashed so", () => {
  const folder = new TemporaryFolder("tar-short");
  folders.push(folder);
  writeFileSync(folder.path("file"), "abc");
  const target = openTarget(folder.path("made.tar"));
  const handle = openSync(folder.path("file"), "r");
  const { bytes, sha256 } = target.add("file", { files: nodeFiles, handle, bytes: 600 });
  closeSync(handle);
  target.finish("{}");
  const whole = new Uint8Array(600);
  whole.set(new TextEncoder().encode("abc"));
  expect([bytes, sha256]).toEqual([600, new Bun.CryptoHasher("sha256").update(whole).digest("hex")]);
  const files = new TarFiles(folder.path("made.tar"));
  const read = new Uint8Array(600);
  files.read(files.openRead("data/file"), read, 0, 600, 0);
  expect(read).toEqual(whole);
  files.dispose();
});

test("a size beyond 8 GiB goes into a pax record", () => {
  const bytes = 8 ** 11 + 5;
  const headers = encodeTarHeaders("data/store.db", bytes, 1_700_000_000);
  expect(headers.length).toBe(3 * TAR_BLOCK_BYTES);
  expect(decodeTarHeader(headers.subarray(0, TAR_BLOCK_BYTES))?.type).toBe("x");
  expect(decodePax(headers.subarray(TAR_BLOCK_BYTES, 2 * TAR_BLOCK_BYTES))).toEqual({ bytes });
  expect(decodeTarHeader(headers.subarray(2 * TAR_BLOCK_BYTES))).toMatchObject({ path: "data/store.db" });
});

test("what is no archive is refused, wherever the damage lies", () => {
  const path = archive(new Map([["a", new Uint8Array(100)], ["b", new Uint8Array(100)]]));
  const whole = new Uint8Array(nodeFiles.size(nodeFiles.openRead(path)));
  nodeFiles.read(nodeFiles.openRead(path), whole, 0, whole.length, 0);
  for (const at of [0, 130, 300, 1024 + 5]) {
    const damaged = whole.slice();
    damaged[at] = (damaged[at] ?? 0) ^ 4;
    writeFileSync(path, damaged);
    expect(() => new TarFiles(path)).toThrow("no tar header");
  }
  for (const length of [0, 100, 700, 1024, whole.length - 1100]) {
    writeFileSync(path, whole.subarray(0, length));
    expect(() => new TarFiles(path)).toThrow("cut off");
  }
});
