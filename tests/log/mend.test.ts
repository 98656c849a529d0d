import { beforeEach, expect, test } from "bun:test";
import { readIndex } from "../../src/log/index-file.ts";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { SegmentWindow } from "../../src/log/window.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { SimDisk } from "../sim/disk.ts";
import { SimRandom } from "../sim/random.ts";
import { append, readAll } from "./runs.ts";

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
