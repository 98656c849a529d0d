/** Events of a group as JSON, and what becomes of those that nobody could deal with. */
import type { GroupEntry } from "../deliver/group.ts";
import type { Graveyard } from "../deliver/groups.ts";
import { decodeFrame } from "../event/decode.ts";
import type { LetterBox } from "../process/letters.ts";
import { type JsonEvent, jsonOf } from "./event-json.ts";

/** The event with how often it was delivered, this time included. */
export function groupEvent(entry: GroupEntry): JsonEvent & { attempts: number } {
  const place = { ...placeOf(entry.shard), offset: entry.offset, receivedUs: entry.receivedUs };
  return { ...jsonOf(decodeFrame(entry.frame, 0), place), attempts: entry.attempts };
}

/** The dead-letter log as groups use it. @param letters Main's own way into it. */
export function groupGraveyard(letters: LetterBox, nowUs: () => number): Graveyard {
  return {
    get isFull() {
      return letters.isFull;
    },
    get isEmpty() {
      return letters.isEmpty;
    },
    flush: () => void letters.flush(),
    bury: (group, { frame, attempts, receivedUs, shard: place, offset }) => {
      const error = `No member of group "${group}" could deal with it`;
      const origin = placeOf(place);
      const event = { bytes: frame, at: 0, ...origin, offset, receivedUs, group };
      letters.add(event, "max_deliveries", error, attempts, nowUs());
    },
  };
}

/** `lane/shard` taken apart. */
function placeOf(place: string): { lane: string; shard: number } {
  const slash = place.lastIndexOf("/");
  return { lane: place.slice(0, slash), shard: Number(place.slice(slash + 1)) };
}
