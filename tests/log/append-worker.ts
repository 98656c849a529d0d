/** A lane worker for `tail.test.ts`: appends, syncs now and then, publishes the visible offset, ends. */

import { nodeFiles } from "../../src/log/node-files.ts";
import { LOG_OPTIONS_DEFAULT } from "../../src/log/segment.ts";
import { ShardState } from "../../src/log/shard-state.ts";
import { LogWriter } from "../../src/log/writer.ts";
import { SimRandom } from "../sim/random.ts";
import { append } from "./runs.ts";

declare const self: Worker;

/** What the worker is told to do. */
export interface AppendTask {
  readonly directory: string;
  readonly state: SharedArrayBuffer;
  readonly events: number;
}

self.onmessage = ({ data }: MessageEvent<AppendTask>) => {
  const random = new SimRandom(1);
  const state = new ShardState(data.state);
  const options = { ...LOG_OPTIONS_DEFAULT, segmentBytes: 64 * 1024, indexBytes: 4096, minFreeBytes: 0 };
  const writer = LogWriter.open(nodeFiles, data.directory, options, (damage) => {
    throw new Error(JSON.stringify(damage));
  });
  while (writer.nextOffset < data.events) {
    const from = writer.nextOffset;
    const texts = Array.from({ length: random.between(1, 50) }, (_, index) => `event ${from + index}`);
    append(writer, texts);
    if (random.chance(0.05)) writer.sync();
    state.visibleOffset = writer.nextOffset;
  }
  writer.close();
  self.postMessage("done");
};
