import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { EscServer, runEsc } from "../support/esc.ts";
import { payloadOf, queryEvents, tailBytes } from "./read-log.ts";
import { type Recording, sampleRecordings, wholeRecordings } from "./recordings.ts";

let server: EscServer;

beforeAll(async () => {
  server = await EscServer.start();
}, 30_000);
afterAll(() => server.remove());

async function sendFile(recording: Recording, ...args: string[]): Promise<void> {
  const path = server.folder.path(`${recording.topic}.txt`);
  writeFileSync(path, recording.bytes);
  const { status, stdout, stderr } = await runEsc([
    "send",
    `--file=${path}`,
    `--topic=${recording.topic}`,
    `--port=${server.tcpPort}`,
    "--json",
    ...args,
  ]);
  expect([status, stderr]).toEqual([0, ""]);
  expect(JSON.parse(stdout)).toMatchObject({
    sent: recording.count,
    acknowledged: recording.count,
    errors: 0,
  });
}

async function comesBack(recording: Recording): Promise<void> {
  expect((await tailBytes(server, recording.topic)).equals(recording.bytes)).toBe(true);
  const events = await queryEvents(server, recording.topic);
  expect(events.length).toBe(recording.count);
  const payloads = events.flatMap((event) => [payloadOf(event), Buffer.from("\n")]);
  expect(Buffer.concat(payloads).equals(recording.bytes)).toBe(true);
  for (const [index, event] of events.entries()) {
    if (index > 0) expect(event.offset).toBeGreaterThan(events[index - 1]?.offset ?? -1);
  }
}

const priorities = ["BATCH", "low", "2", "HIGH", "critical"];

test.each(sampleRecordings().map((recording, index) => [recording.topic, recording, index] as const))(
  "%s comes back byte by byte and in order from tail and from HTTP",
  async (_topic, recording, index) => {
    await sendFile(recording, `--priority=${priorities[index % priorities.length]}`);
    await comesBack(recording);
  },
  30_000,
);

test("recordings sent at the same time come back each in its own order", async () => {
  const recordings = sampleRecordings().map((recording) => ({
    ...recording,
    topic: `together.${recording.topic}`,
  }));
  await Promise.all(recordings.map((recording) => sendFile(recording, "--acks=accepted")));
  for (const recording of recordings) {
    expect((await tailBytes(server, recording.topic)).equals(recording.bytes)).toBe(true);
  }
}, 60_000);

const whole = wholeRecordings();

test.skipIf(whole === undefined)(
  "whole recordings (87 MB; skipped without ../shared/market-data)",
  async () => {
    for (const recording of whole ?? []) {
      await sendFile(recording);
      expect((await tailBytes(server, recording.topic)).equals(recording.bytes)).toBe(true);
    }
  },
  120_000,
);
