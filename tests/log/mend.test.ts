import { beforeEach, expect, test } from "bun:test";
import { readIndex } from "../../src/log/index-file.ts";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { SegmentWindow } from "../../src/log/window.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { SimDisk } from "../sim/disk.ts";
import { SimRandom } from "../sim/random.ts";
import type { IdMending } from "../../src/log/mender.ts";
import { encodeFrame } from "../../src/event/encode.ts";
import { BATCH_HAS_IDS } from "../../src/log/format.ts";
import { hashId, ID_HASH } from "../../src/process/id-hash.ts";
import { append, batchOfFrames, readAll } from "./runs.ts";

const OPTIONS = { ...LOG_OPTIONS_DEFAULT, segmentBytes: 4096, indexBytes: 256, minFreeBytes: 0 };
let disk: SimDisk;

beforeEach(() => {
  disk = new SimDisk(new SimRandom(1));
  const writer = LogWriter.open(disk, "log", OPTIONS, () => {});
  for (let index = 0; index < 200; index++) append(writer, [`event ${index}`], index);
  writer.close();
});

function indexPaths(): string[] {
  return disk.paths().filter((path) => path.endsWith(".log")).map((path) => path.replace(/log$/, "idx"));
}

/** Every index as readers see it. */
function indexes() {
  return indexPaths().map((path) => {
    const window = new SegmentWindow(disk);
    window.open(path.replace(/idx$/, "log"));
    const index = readIndex(disk, path, window.header?.baseOffset ?? -1, window.salt);
    window.close();
    return index;
  });
}

test("mend() makes missing, cut and garbled indexes of finished segments as they were", () => {
  const before = indexes();
  expect(before.length).toBeGreaterThan(3);
  expect(before[0]?.entries.length).toBeGreaterThan(8);
  const [first = "", second = "", third = ""] = indexPaths();
  disk.erase(first);
  disk.overwrite(second, disk.content(second).slice(0, 128));
  disk.overwrite(third, new Uint8Array(1000).fill(0xa5));
  const writer = LogWriter.open(disk, "log", OPTIONS, () => {});
  let looks = 0;
  while (writer.mend()) looks++;
  expect(looks).toBe(before.length - 1);
  expect(indexes()).toEqual(before);
  expect(readAll(disk, "log", 200, { fromOffset: 50 })).toHaveLength(150);
});

test("mend() leaves good indexes as they are", () => {
  const writer = LogWriter.open(disk, "log", OPTIONS, () => {});
  disk.failureRate = 1;
  while (writer.mend());
  disk.heal();
  expect(indexes()).toHaveLength(indexPaths().length);
  expect(indexes()).not.toContain(undefined);
});

const IDS: IdMending = { hash: ID_HASH, hashId, windowUs: 1000 };

/** Writes events 0, 1, 2 … with their number as id, 50 a batch, received a microsecond apart, into new files. */
function writeIds(count: number): LogWriter {
  disk = new SimDisk(new SimRandom(2));
  let nowUs = 0;
  const options = { ...OPTIONS, segmentBytes: 8192, idHash: ID_HASH, nowUs: () => nowUs };
  const writer = LogWriter.open(disk, "log", options, () => {});
  const hash = new Int32Array(2);
  for (let from = 0; from < count; from += 50) {
    nowUs += 50;
    const ids = Array.from({ length: 50 }, (_, index) => String(from + index));
    const frames = ids.map((id) => encodeFrame({ topic: "t", payload: "x", id }));
    const { bytes, bodyBytes } = batchOfFrames([frames], nowUs);
    writer.append(bytes, 0, bodyBytes, 50, nowUs, nowUs, BATCH_HAS_IDS);
    for (const [index, id] of ids.entries()) {
      hashId(Buffer.from(id), 0, id.length, hash);
      writer.addId(hash[0] ?? 0, hash[1] ?? 0, from + index, nowUs);
    }
    writer.sync();
  }
  return writer;
}

/** All side files of finished segments. */
function sideFiles(): Map<string, string> {
  const paths = disk.paths().filter((path) => /\.(idx|ids)$/.test(path));
  const last = disk.paths().findLast((path) => path.endsWith(".log"))?.replace(/log$/, "") ?? "";
  return new Map(
    paths.filter((path) => !path.startsWith(last))
      .map((path) => [path, Buffer.from(disk.content(path)).toString("hex")]),
  );
}

test("mend() rebuilds side files deleted or damaged while the log is open, once they are looked for or it reopens", () => {
  const writer = writeIds(4000);
  while (writer.mend(IDS));
  const before = sideFiles();
  expect(before.size).toBeGreaterThan(10);
  for (const path of before.keys()) disk.erase(path);
  expect(writer.mend(IDS)).toBe(false);
  writer.lookForMissing();
  while (writer.mend(IDS));
  // Ids older than the window are of no use to anybody.
  const young = [...before].filter(([path]) => path.endsWith("idx") || disk.paths().includes(path));
  expect(sideFiles()).toEqual(new Map(young));
  expect(young.length).toBeGreaterThan(before.size / 2);
  expect(young.length).toBeLessThan(before.size);
  writer.close();
  for (const [path] of young) disk.overwrite(path, new Uint8Array(70).fill(0xa5));
  const again = LogWriter.open(disk, "log", { ...OPTIONS, idHash: ID_HASH, nowUs: () => 4000 }, () => {});
  while (again.mend(IDS));
  for (const [path, content] of young) {
    expect([path, Buffer.from(disk.content(path)).toString("hex")]).toEqual([path, content]);
  }
});

test("mend() leaves no side file behind for a segment that retention takes meanwhile, and stops when closed", () => {
  const writer = writeIds(4000);
  const all = [...sideFiles().keys()];
  for (const path of all) disk.erase(path);
  let steps = 0;
  while (writer.mend(IDS)) {
    if (++steps === 2) writer.retain({ maxBytes: 0, nowUs: 0 });
  }
  expect(disk.paths().filter((path) => path.endsWith(".log"))).toHaveLength(1);
  expect([...sideFiles().keys()]).toEqual([]);
  writer.close();
  expect(writer.mend(IDS)).toBe(false);
});

test("what cannot be rebuilt is not tried again and again", () => {
  const writer = writeIds(4000);
  while (writer.mend(IDS));
  for (const path of sideFiles().keys()) disk.erase(path);
  disk.failureRate = 1;
  writer.lookForMissing();
  while (writer.mend(IDS));
  writer.lookForMissing();
  expect(writer.mend(IDS)).toBe(false);
});
