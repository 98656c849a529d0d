/** Makes streams of frames, good and bad, with what a correct server must say to each. */
import { encodeFrame } from "../../src/event/encode.ts";
import type { RejectReason } from "../../src/event/frame.ts";
import { decodeFrame } from "../../src/event/decode.ts";
import type { Random } from "../support/seed.ts";

/** One frame and its verdict: "good" or why it is refused. Framing is always intact. */
export interface Sample {
  readonly bytes: Uint8Array;
  readonly verdict: "good" | RejectReason;
}

/** A well-formed frame with random parts. */
export function goodFrame(random: Random, payloadBytesMax = 200): Uint8Array {
  const topics = ["a", "a.b", "orders/eu/1", "größe.°", "日本.語", "x".repeat(255)] as const;
  const headers = Array.from(
    { length: random.below(3) },
    (_, index) => [`h${index}`, "v".repeat(random.below(20))] as const,
  );
  return encodeFrame({
    topic: random.pick(topics),
    priority: random.below(5),
    payload: random.fill(new Uint8Array(random.below(payloadBytesMax))),
    id: random.chance(0.2) ? `id-${random.below(1e9)}` : undefined,
    timeUs: random.chance(0.1) ? random.below(2 ** 32) * 1000 : undefined,
    key: random.chance(0.2) ? `key-${random.below(100)}` : undefined,
    headers: random.chance(0.1) ? headers : undefined,
    crc: random.chance(0.3),
  });
}

/** A frame with some bytes changed, its length prefix kept; judged by the slow model below. */
export function brokenFrame(random: Random): Sample {
  const bytes = goodFrame(random);
  for (let change = random.between(1, 3); change > 0; change--) {
    bytes[random.between(4, random.chance(0.8) ? Math.min(20, bytes.length - 1) : bytes.length - 1)] = random
      .below(256);
  }
  // A control frame would be answered, not refused.
  if (bytes[4] === 0x20) bytes[4] = 0x28;
  return { bytes, verdict: judge(bytes) };
}

/** What the specification says to an event frame, written for clarity and sharing no code with the scanner. */
export function judge(bytes: Uint8Array): "good" | RejectReason {
  const body = bytes.subarray(4);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const head = view.getUint8(0);
  if (head & 0x38) return "bad_head";
  if ((head & 7) > 4) return "bad_priority";
  const hasCrc = (head & 0x80) !== 0;
  const end = body.length - (hasCrc ? 4 : 0);
  const topicLength = view.getUint16(1);
  if (topicLength < 1 || topicLength > 255 || 3 + topicLength > end) return "bad_topic_length";
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(body.subarray(3, 3 + topicLength));
  } catch {
    return "bad_topic_utf8";
  }
  if (head & 0x40 && !isExt(body.subarray(3 + topicLength, end))) return "bad_ext";
  if (hasCrc && Bun.hash.crc32(body.subarray(0, end)) !== view.getUint32(end)) return "bad_crc";
  return "good";
}

function isExt(area: Uint8Array): boolean {
  if (area.length < 2) return false;
  const view = new DataView(area.buffer, area.byteOffset, area.byteLength);
  const end = 2 + view.getUint16(0);
  if (end > area.length) return false;
  const seen = new Set<number>();
  let at = 2;
  while (at < end) {
    if (at + 3 > end) return false;
    const tag = view.getUint8(at);
    const value = area.subarray(at + 3, at + 3 + view.getUint16(at + 1));
    at += 3 + view.getUint16(at + 1);
    if (at > end || value.length === 0) return false;
    if (tag !== 4 && seen.has(tag)) return false;
    seen.add(tag);
    switch (tag) {
      case 1:
        if (value.length > 64) return false;
        break;
      case 2: {
        if (value.length !== 8) return false;
        const us = view.getBigInt64(at - 8);
        if (us >= 2n ** 53n || us < -(2n ** 53n)) return false;
        break;
      }
      case 3:
        break;
      case 4:
        if (value.indexOf(0) < 1) return false;
        break;
      default:
        return false;
    }
  }
  return true;
}

/** Decodes a good frame and encodes it again: nothing may be lost on the way. */
export function roundTrip(bytes: Uint8Array): Uint8Array {
  const event = decodeFrame(bytes, 0);
  return encodeFrame({ ...event, crc: ((bytes[4] as number) & 0x80) !== 0 });
}
