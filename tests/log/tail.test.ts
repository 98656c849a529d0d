import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeFiles } from "../../src/log/node-files.ts";
import { LogReader } from "../../src/log/reader.ts";
import { createShardState, ShardState } from "../../src/log/shard-state.ts";
import type { AppendTask } from "./append-worker.ts";
import { eventsOf } from "./runs.ts";

const EVENTS = 50_000;
let directory = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "esc-log-tail-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("readers follow another thread's writer through many segments, event by event", async () => {
  const memory = createShardState();
  const state = new ShardState(memory);
  const worker = new Worker(new URL("./append-worker.ts", import.meta.url));
  const done = new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve();
    worker.onerror = (event) => reject(new Error(event.message));
  });
  const task: AppendTask = { directory, state: memory, events: EVENTS };
  worker.postMessage(task);
  const reader = new LogReader(nodeFiles, directory, (damage) => {
    throw new Error(JSON.stringify(damage));
  });
  let next = 0;
  while (next < EVENTS) {
    const batch = reader.nextBatch(state.visibleOffset);
    if (batch === undefined) {
      // Let the worker's messages in, and look again.
      await new Promise(setImmediate);
      continue;
    }
    const events = eventsOf(batch);
    expect(batch.baseOffset).toBe(next);
    expect(events).toEqual(events.map((_, index) => `${next + index}:event ${next + index}`));
    next += batch.count;
  }
  await done;
  reader.close();
  worker.terminate();
});
