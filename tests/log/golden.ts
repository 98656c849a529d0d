/**
 * Makes the golden data directory of the format of today: `bun tests/log/golden.ts tests/golden/log/v1`.
 *
 * Run once for a format version, never again: what is in the repository is what old versions wrote. (Once a version
 * is released its files only gain company.)
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { encodeFrame } from "../../src/event/encode.ts";
import { BATCH_HAS_IDS } from "../../src/log/format.ts";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { SimDisk } from "../sim/disk.ts";
import { SimRandom } from "../sim/random.ts";
import { batchOfFrames } from "./runs.ts";

export const GOLDEN_SEGMENT_BYTES = 2048;
export const GOLDEN_ID_HASH = 1;
export const GOLDEN_EVENTS = 24;
export const GOLDEN_RECEIVED_US = 1_700_000_000_000_000;

/** Payload of the event with this offset. */
export function goldenPayload(offset: number): string {
  return `golden event ${offset} ${"é".repeat(offset)}`;
}

/** Appends `GOLDEN_EVENTS` events, three a batch in two runs, each batch a second after the last. */
function fill(writer: LogWriter): void {
  while (writer.nextOffset < GOLDEN_EVENTS) {
    const from = writer.nextOffset;
    const frames = [0, 1, 2].map((index) =>
      encodeFrame({
        topic: "golden.topic",
        priority: (from + index) % 5,
        payload: goldenPayload(from + index),
        id: `id-${from + index}`,
        key: "key",
        timeUs: GOLDEN_RECEIVED_US - from,
        headers: [["name", "value"]],
        crc: index === 2,
      })
    );
    const receivedUs = GOLDEN_RECEIVED_US + from * 1_000_000;
    const { bytes, bodyBytes, count } = batchOfFrames([frames.slice(0, 1), frames.slice(1)], receivedUs);
    const offset = writer.append(bytes, 0, bodyBytes, count, receivedUs, receivedUs, BATCH_HAS_IDS);
    for (let index = 0; index < count; index++) {
      writer.addId(offset + index, ~(offset + index), offset + index, receivedUs);
    }
    writer.sync();
  }
}

/** The files of a log, `closed` as a shutdown leaves them or as a kill in the middle of a write does. */
export function goldenFiles(closed: boolean): ReadonlyMap<string, Uint8Array> {
  const disk = new SimDisk(new SimRandom(1));
  const random = new SimRandom(2);
  const writer = LogWriter.open(disk, "log", {
    ...LOG_OPTIONS_DEFAULT,
    segmentBytes: GOLDEN_SEGMENT_BYTES,
    indexBytes: 512,
    minFreeBytes: 0,
    idHash: GOLDEN_ID_HASH,
    nowUs: () => GOLDEN_RECEIVED_US,
    random: (words) => {
      for (let index = 0; index < words.length; index++) words[index] = random.bits();
    },
  }, () => {});
  fill(writer);
  if (closed) writer.close();
  else {
    const last = disk.paths().findLast((path) => path.endsWith(".log")) ?? "";
    const content = disk.content(last).slice();
    // The first 100 bytes of a batch whose rest never came.
    content.set(content.slice(64, 164), writerEnd(content));
    disk.overwrite(last, content);
  }
  return new Map(disk.paths().map((path) => [path.slice("log/".length), disk.content(path)]));
}

/** Behind the last byte that is not zero, rounded up to 8. */
function writerEnd(content: Uint8Array): number {
  return (content.findLastIndex((byte) => byte !== 0) + 8) & ~7;
}

if (import.meta.main) {
  const target = process.argv[2] ?? "";
  for (const [folder, closed] of [["log/realtime/0", true], ["log/batch/0", false]] as const) {
    for (const [name, content] of goldenFiles(closed)) {
      const path = join(target, folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
    }
  }
}
