/**
 * What a subscriber asks for: the JSON of SUBSCRIBE and CONFIRM frames, and of WebSocket messages.
 *
 * Parsed by hand: ingest workers are kept thin, and a schema library would be most of their memory.
 */

/** A place in every log: `"lane/shard"` → offset of the next event wanted. All below it is done with. */
export type Positions = Readonly<Record<string, number>>;

/** The same place in every shard. */
export type FromPlace = "latest" | "earliest" | { readonly timeUs: number };
/** Where to start reading. Shards not named in `offsets` start where `others` says, by default at the end. */
export type From = FromPlace | { readonly offsets: Positions; readonly others?: FromPlace };

export interface SubscriptionRequest {
  /** Chosen by the client; unique on its connection. 1..SUBSCRIPTION_ID_BYTES_MAX bytes. */
  readonly id: string;
  /** Topic patterns; one match is enough. */
  readonly topics: readonly string[];
  readonly from: From;
  /** Name of a durable consumer: its stored position wins over `from`. */
  readonly consumer?: string;
  /** Most events sent and not confirmed. Absent: no limit. */
  readonly maxInFlight?: number;
  /** Lanes to read. Absent: all but `dlq`. */
  readonly lanes?: readonly string[];
}

export interface ConfirmRequest {
  readonly id: string;
  readonly offsets: Positions;
}

/** An EVENTS frame carries the id behind one length byte; 64 keeps its header small. */
export const SUBSCRIPTION_ID_BYTES_MAX = 64;
export const SUBSCRIPTION_TOPICS_MAX = 64;
export const SUBSCRIPTION_LANES_MAX = 64;
export const POSITIONS_MAX = 4096;
export const MAX_IN_FLIGHT_MAX = 1_000_000;
/** Longest JSON of a SUBSCRIBE or CONFIRM, bytes. */
export const REQUEST_BYTES_MAX = 128 * 1024;
/** Names of durable consumers are file names too. */
const CONSUMER_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;

const utf8 = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/** Whether a string may name a durable consumer: 1..64 of letters, digits, `.`, `_`, `-`, no dot first. */
export function isConsumerName(name: string): boolean {
  return CONSUMER_NAME.test(name);
}

/** Key of a shard in `Positions`. */
export function shardKey(lane: string, shard: number): string {
  return `${lane}/${shard}`;
}

/** A request that cannot be understood: what is wrong, for the ERROR frame. */
export class BadRequest {
  constructor(readonly message: string) {}
}

/** A request that makes sense, and not now: others stand against it. */
export class Conflict extends BadRequest {}

/** Reads the payload of a SUBSCRIBE frame. Patterns are checked by the topic compiler, not here. */
export function parseSubscribe(payload: Uint8Array): SubscriptionRequest | BadRequest {
  const json = parseObject(payload);
  return json instanceof BadRequest ? json : readSubscription(json);
}

/** Reads the payload of a CONFIRM frame. */
export function parseConfirm(payload: Uint8Array): ConfirmRequest | BadRequest {
  const json = parseObject(payload);
  return json instanceof BadRequest ? json : readConfirm(json);
}

/** The same from JSON that is parsed already. */
export function readSubscription(json: Readonly<Record<string, unknown>>): SubscriptionRequest | BadRequest {
  const id = readId(json["id"]);
  if (id instanceof BadRequest) return id;
  const topics = readStrings("topics", json["topics"], SUBSCRIPTION_TOPICS_MAX);
  if (topics instanceof BadRequest) return topics;
  const from = readFrom(json["from"]);
  if (from instanceof BadRequest) return from;

  if (json["group"] !== undefined) {
    return new BadRequest(
      "A group's events come as JSON: join it by a WebSocket's text messages, or pull them by HTTP",
    );
  }
  const request: { -readonly [K in keyof SubscriptionRequest]: SubscriptionRequest[K] } = {
    id,
    topics,
    from,
  };
  const consumer = json["consumer"];
  if (consumer !== undefined) {
    if (typeof consumer !== "string" || !isConsumerName(consumer)) {
      return new BadRequest('"consumer" is not 1 to 64 of letters, digits, ".", "_" and "-"');
    }
    request.consumer = consumer;
  }
  const maxInFlight = json["max_in_flight"];
  if (maxInFlight !== undefined) {
    if (!isWhole(maxInFlight) || maxInFlight < 1 || maxInFlight > MAX_IN_FLIGHT_MAX) {
      return new BadRequest(`"max_in_flight" is not a whole number from 1 to ${MAX_IN_FLIGHT_MAX}`);
    }
    request.maxInFlight = maxInFlight;
  }
  if (json["lanes"] !== undefined) {
    const lanes = readStrings("lanes", json["lanes"], SUBSCRIPTION_LANES_MAX);
    if (lanes instanceof BadRequest) return lanes;
    request.lanes = lanes;
  }
  return request;
}

/** The same from JSON that is parsed already. */
export function readConfirm(json: Readonly<Record<string, unknown>>): ConfirmRequest | BadRequest {
  const id = readId(json["id"]);
  if (id instanceof BadRequest) return id;
  const offsets = readPositions("offsets", json["offsets"]);
  return offsets instanceof BadRequest ? offsets : { id, offsets };
}

/** Reads a `from`; absent means the end. */
export function readFrom(value: unknown): From | BadRequest {
  if (value === undefined) return "latest";
  const place = placeOf(value);
  if (place !== undefined) return place;
  if (isObject(value) && value["offsets"] !== undefined) {
    const offsets = readPositions("from.offsets", value["offsets"]);
    if (offsets instanceof BadRequest) return offsets;
    if (value["others"] === undefined) return { offsets };
    const others = placeOf(value["others"]);
    if (others !== undefined) return { offsets, others };
    return new BadRequest('"from.others" is not "latest", "earliest" or {"time_us": t}');
  }
  return new BadRequest(
    '"from" is not "latest", "earliest", {"time_us": t} or {"offsets": {"lane/shard": n}}',
  );
}

function placeOf(value: unknown): FromPlace | undefined {
  if (value === "latest" || value === "earliest") return value;
  const timeUs = isObject(value) ? value["time_us"] : undefined;
  return isWhole(timeUs) && timeUs >= 0 ? { timeUs } : undefined;
}

/** Reads `{"lane/shard": n}`. Whether the shards exist is for the subscription to know. */
export function readPositions(name: string, value: unknown): Positions | BadRequest {
  if (!isObject(value)) return new BadRequest(`"${name}" is not an object of "lane/shard": offset`);
  const entries = Object.entries(value);
  if (entries.length > POSITIONS_MAX) {
    return new BadRequest(`"${name}" names more than ${POSITIONS_MAX} shards`);
  }
  const positions: Record<string, number> = Object.create(null);
  for (const [key, offset] of entries) {
    if (!isWhole(offset) || offset < 0) {
      return new BadRequest(`"${name}" of ${JSON.stringify(key.slice(0, 100))} is not an offset`);
    }
    positions[key] = offset;
  }
  return positions;
}

function parseObject(payload: Uint8Array): Readonly<Record<string, unknown>> | BadRequest {
  if (payload.length > REQUEST_BYTES_MAX) {
    return new BadRequest(`JSON is longer than ${REQUEST_BYTES_MAX} bytes`);
  }
  let json: unknown;
  try {
    json = JSON.parse(utf8.decode(payload));
  } catch {
    return new BadRequest("Payload is not JSON in UTF-8");
  }
  return isObject(json) ? json : new BadRequest("Payload is not a JSON object");
}

function readId(value: unknown): string | BadRequest {
  if (typeof value === "string" && value !== "") {
    if (encoder.encode(value).length <= SUBSCRIPTION_ID_BYTES_MAX) return value;
  }
  return new BadRequest(`"id" is not a string of 1 to ${SUBSCRIPTION_ID_BYTES_MAX} bytes`);
}

function readStrings(name: string, value: unknown, countMax: number): readonly string[] | BadRequest {
  const isList = Array.isArray(value) && value.length > 0 && value.length <= countMax &&
    value.every((item) => typeof item === "string");
  return isList ? value : new BadRequest(`"${name}" is not a list of 1 to ${countMax} strings`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value);
}
