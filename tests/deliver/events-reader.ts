/** Reads EVENTS frames the slow and obvious way, checking everything docs/protocol.md promises of them. */
import { expect } from "bun:test";
import { decodeFrame } from "../../src/event/decode.ts";

export interface ReadEvent {
  readonly id: string;
  readonly key: string;
  readonly offset: number;
  readonly topic: string;
  readonly payload: string;
  readonly receivedUs: number;
}

export interface ReadFrame {
  readonly bytes: number;
  readonly blocks: number;
  readonly events: readonly ReadEvent[];
}

/** All frames in `bytes[0..length)`, which must end with a whole one. */
export function readEventsFrames(bytes: Uint8Array, length: number): ReadFrame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (at: number, count: number) => new TextDecoder().decode(bytes.slice(at, at + count));
  const frames: ReadFrame[] = [];
  let at = 0;
  while (at < length) {
    const end = at + 4 + view.getUint32(at);
    expect(end).toBeLessThanOrEqual(length);
    const frameBytes = end - at;
    expect([bytes[at + 4], bytes[at + 5]]).toEqual([0x20, 0x06]);
    at += 6;
    const id = text(at + 1, bytes[at] as number);
    at += 1 + (bytes[at] as number);
    const lane = text(at + 1, bytes[at] as number);
    at += 1 + (bytes[at] as number);
    const key = `${lane}/${view.getUint16(at)}`;
    at += 2;
    const events: ReadEvent[] = [];
    let blocks = 0;
    while (at < end) {
      const base = Number(view.getBigUint64(at));
      const count = view.getUint32(at + 8);
      const receivedUs = Number(view.getBigUint64(at + 12));
      const blockEnd = at + 24 + view.getUint32(at + 20);
      at += 24;
      for (let index = 0; index < count; index++) {
        const { topic, payload } = decodeFrame(bytes, at);
        events.push({
          id,
          key,
          offset: base + index,
          topic,
          payload: Buffer.from(payload).toString(),
          receivedUs,
        });
        at += 4 + view.getUint32(at);
      }
      expect(at).toBe(blockEnd);
      blocks++;
    }
    expect(at).toBe(end);
    frames.push({ bytes: frameBytes, blocks, events });
  }
  return frames;
}
