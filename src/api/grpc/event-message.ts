/** `eventstream.Event` to and from events as the engine knows them. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { EventView } from "../../deliver/subscription.ts";
import { decodeFrame } from "../../event/decode.ts";
import type { PublishOutcome, Submission } from "../publish-request.ts";
import { type Event, type EventSchema, Kind } from "./eventstream_pb.ts";

/** The fields of an Event that are set. */
export type EventFields = MessageInitShape<typeof EventSchema>;

const NS_PER_US = 1000n;

/** What a client's message says about one event; absent: it has sent none. */
export function submissionOf(event: Event | undefined): Submission {
  if (event === undefined) return { problem: "There is no event in the request" };
  const { id, key, timestampNs } = event;
  return {
    topic: event.topic,
    payload: event.payload,
    priority: event.priority,
    id: id === "" ? undefined : id,
    key: key === "" ? undefined : key,
    timeUs: timestampNs === 0n ? undefined : Number(timestampNs / NS_PER_US),
    headers: Object.entries(event.metadata),
  };
}

/** The event that the view shows; the result is a copy. A header that repeats shows its last value. */
export function deliveredEvent(view: EventView): EventFields {
  const event = decodeFrame(view.bytes, view.at);
  return {
    topic: event.topic,
    payload: new Uint8Array(event.payload),
    priority: event.priority,
    lane: view.lane,
    shard: view.shard,
    offset: BigInt(view.offset),
    ...(event.id === undefined ? {} : { id: event.id }),
    ...(event.key === undefined ? {} : { key: event.key }),
    ...(event.timeUs === undefined ? {} : { timestampNs: BigInt(event.timeUs) * NS_PER_US }),
    ...(event.headers.length === 0 ? {} : { metadata: Object.fromEntries(event.headers) }),
  };
}

/** What became of an event that was sent on Stream. */
export function answerOf({ id, topic }: Event, outcome: PublishOutcome): EventFields {
  if (!outcome.ok) {
    return { id, topic, kind: Kind.REFUSED, error: `${outcome.code}: ${outcome.message}` };
  }
  return {
    id,
    topic,
    kind: Kind.ACKNOWLEDGED,
    ...(outcome.lane === undefined ? {} : { lane: outcome.lane }),
    ...(outcome.shard === undefined ? {} : { shard: outcome.shard }),
    ...(outcome.offset === undefined ? {} : { offset: BigInt(outcome.offset) }),
  };
}
