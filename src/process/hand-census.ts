/** Counts what a lane worker has in hand, from another thread. */
import { RUN_COUNT, RUN_LENGTH } from "../event/run.ts";
import { align8 } from "../queue/ring.ts";
import { Hand } from "./hand.ts";

/** Counts that may be in vain, while batches come and go. */
const ATTEMPTS = 8;

/** @returns Events in hand, whether stored already or not; `undefined` if the hand did not keep still. */
export function eventsInHand(memory: SharedArrayBuffer, intent: SharedArrayBuffer): number | undefined {
  const hand = new Hand(memory, intent);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { bodyAt, bodyBytes } = hand;
    const end = bodyAt + bodyBytes;
    let count = 0;
    let at = bodyAt;
    while (at < end) {
      const length = hand.words[(at >> 2) + RUN_LENGTH] as number;
      if (length <= 0) break;
      count += hand.words[(at >> 2) + RUN_COUNT] as number;
      at += align8(length);
    }
    if (at === end && hand.bodyAt === bodyAt && hand.bodyBytes === bodyBytes) return count;
  }
  return undefined;
}
