/**
 * Control frames: what client and server say to each other besides events.
 *
 *     frame = u32be len | u8 0x20 | u8 opcode | payload
 *
 * Payloads in JSON are read into complete typed values, or refused with a sentence for the sender.
 */
import type { ErrorCode } from "../errors.ts";
import { FRAME_PREFIX_BYTES, HEAD_CONTROL, OP_ACK, OP_ERROR } from "./frame.ts";
import { ACKS_NAMES } from "./run.ts";
import type { AcksName } from "./run.ts";
import { patternProblem } from "./topic.ts";

/** Bytes before the payload: length prefix, head, opcode. */
export const CONTROL_HEADER_BYTES = FRAME_PREFIX_BYTES + 2;
/** Most topic patterns in one subscription. */
export const SUBSCRIBE_TOPICS_MAX = 256;
const NAME_CHARACTERS_MAX = 128;
const TOKEN_CHARACTERS_MAX = 8192;
const OFFSETS_MAX = 4096;

export interface Hello {
  readonly token?: string;
  readonly producer?: string;
  readonly acks: AcksName;
}

export interface Welcome {
  readonly server: string;
  readonly version: string;
  readonly max_frame_bytes: number;
  readonly acks: AcksName;
}

export interface ErrorReport {
  readonly code: ErrorCode;
  readonly message: string;
  /** Number, from 1, of the event frame that was refused. */
  readonly seq?: number;
  /** How many frames from `seq` on, when more than one. */
  readonly count?: number;
}

/** Next offset wanted, by `lane/shard`. */
export type ShardOffsets = Readonly<Record<string, number>>;

/** Where a subscription begins. */
export type StartPosition =
  | { readonly kind: "latest" }
  | { readonly kind: "earliest" }
  | { readonly kind: "time"; readonly timeUs: number }
  | { readonly kind: "offsets"; readonly offsets: ShardOffsets };

export interface Subscribe {
  readonly id: string;
  readonly topics: readonly string[];
  readonly from: StartPosition;
  /** Durable consumer: its position is stored under this name. */
  readonly consumer?: string;
  /** Most events sent and not yet confirmed. */
  readonly maxInFlight?: number;
}

export interface Confirm {
  readonly id: string;
  /** The consumer has processed everything below. */
  readonly offsets: ShardOffsets;
}

/** A value, or what is wrong with what was sent. */
export type Parsed<T> = { readonly value: T; readonly problem?: never } | { readonly problem: string };

/** A new buffer with a whole control frame. */
export function controlFrame(opcode: number, payload: Uint8Array | string): Uint8Array {
  const body = typeof payload === "string" ? Buffer.from(payload) : payload;
  const frame = new Uint8Array(CONTROL_HEADER_BYTES + body.length);
  new DataView(frame.buffer).setUint32(0, 2 + body.length);
  frame[FRAME_PREFIX_BYTES] = HEAD_CONTROL;
  frame[FRAME_PREFIX_BYTES + 1] = opcode;
  frame.set(body, CONTROL_HEADER_BYTES);
  return frame;
}

/** The same for opcodes whose payload is JSON. */
export function jsonFrame(opcode: number, payload: object): Uint8Array {
  return controlFrame(opcode, JSON.stringify(payload));
}

export function errorFrame(report: ErrorReport): Uint8Array {
  return jsonFrame(OP_ERROR, report);
}

/** @param done The first `done` event frames of the connection are accepted or durable. */
export function ackFrame(done: number): Uint8Array {
  const payload = new Uint8Array(8);
  new DataView(payload.buffer).setBigUint64(0, BigInt(done));
  return controlFrame(OP_ACK, payload);
}

/** The number in an ACK's payload, or `undefined` when the payload is not one. */
export function parseAck(payload: Uint8Array): number | undefined {
  if (payload.length !== 8) return undefined;
  return Number(new DataView(payload.buffer, payload.byteOffset, 8).getBigUint64(0));
}

export function parseHello(payload: Uint8Array): Parsed<Hello> {
  const fields = parseObject(payload);
  if (fields === undefined) return { problem: "HELLO is not a JSON object" };
  const { token, producer, acks = "none" } = fields;
  const known = ACKS_NAMES.find((name) => name === acks);
  if (known === undefined) return { problem: `acks must be one of ${ACKS_NAMES.join(", ")}` };
  if (token !== undefined && !isText(token, TOKEN_CHARACTERS_MAX)) {
    return { problem: "token must be a string" };
  }
  if (producer !== undefined && !isText(producer, NAME_CHARACTERS_MAX)) {
    return { problem: `producer must be a string of 1 to ${NAME_CHARACTERS_MAX} characters` };
  }
  return {
    value: {
      acks: known,
      ...(token === undefined ? {} : { token }),
      ...(producer === undefined ? {} : { producer }),
    },
  };
}

export function parseWelcome(payload: Uint8Array): Parsed<Welcome> {
  const fields = parseObject(payload);
  if (fields === undefined) return { problem: "WELCOME is not a JSON object" };
  const { server, version, max_frame_bytes, acks } = fields;
  const known = ACKS_NAMES.find((name) => name === acks);
  if (typeof server !== "string" || typeof version !== "string" || typeof max_frame_bytes !== "number") {
    return { problem: "WELCOME needs server, version and max_frame_bytes" };
  }
  if (known === undefined) return { problem: "WELCOME has no known acks" };
  return { value: { server, version, max_frame_bytes, acks: known } };
}

/** For clients: the server's report as it is, whatever code it uses. */
export function parseError(
  payload: Uint8Array,
): Parsed<{ code: string; message: string; seq?: number; count?: number }> {
  const fields = parseObject(payload);
  if (fields === undefined) return { problem: "ERROR is not a JSON object" };
  const { code, message, seq, count } = fields;
  if (typeof code !== "string" || typeof message !== "string") {
    return { problem: "ERROR needs code and message" };
  }
  return {
    value: {
      code,
      message,
      ...(typeof seq === "number" ? { seq } : {}),
      ...(typeof count === "number" ? { count } : {}),
    },
  };
}

export function parseSubscribe(payload: Uint8Array): Parsed<Subscribe> {
  const fields = parseObject(payload);
  if (fields === undefined) return { problem: "SUBSCRIBE is not a JSON object" };
  const { id, topics, from = "latest", consumer, max_in_flight: maxInFlight } = fields;
  if (!isText(id, NAME_CHARACTERS_MAX)) {
    return { problem: `id must be a string of 1 to ${NAME_CHARACTERS_MAX} characters` };
  }
  if (!Array.isArray(topics) || topics.length < 1 || topics.length > SUBSCRIBE_TOPICS_MAX) {
    return { problem: `topics must be an array of 1 to ${SUBSCRIBE_TOPICS_MAX} patterns` };
  }
  const patterns: string[] = [];
  for (const topic of topics as unknown[]) {
    if (typeof topic !== "string") return { problem: "topics must be strings" };
    const problem = patternProblem(topic);
    if (problem !== undefined) return { problem };
    patterns.push(topic);
  }
  if (consumer !== undefined && !isConsumerName(consumer)) {
    return { problem: "consumer must be 1 to 128 letters, digits, '.', '_' or '-', not beginning with '.'" };
  }
  if (maxInFlight !== undefined && !isCount(maxInFlight, 1)) {
    return { problem: "max_in_flight must be an integer of at least 1" };
  }
  const start = parseStart(from);
  if (start === undefined) {
    return { problem: 'from must be "latest", "earliest", {"time_us": t} or {"offsets": {"lane/shard": n}}' };
  }
  return {
    value: {
      id,
      topics: patterns,
      from: start,
      ...(consumer === undefined ? {} : { consumer }),
      ...(maxInFlight === undefined ? {} : { maxInFlight }),
    },
  };
}

export function parseConfirm(payload: Uint8Array): Parsed<Confirm> {
  const fields = parseObject(payload);
  if (fields === undefined) return { problem: "CONFIRM is not a JSON object" };
  if (!isText(fields["id"], NAME_CHARACTERS_MAX)) return { problem: "id must be the subscription's id" };
  const offsets = parseOffsets(fields["offsets"]);
  if (offsets === undefined) return { problem: 'offsets must be an object of "lane/shard": offset' };
  return { value: { id: fields["id"], offsets } };
}

/** Reads `from` as SUBSCRIBE has it. @returns `undefined` when it is none of the four forms. */
export function parseStart(from: unknown): StartPosition | undefined {
  if (from === "latest" || from === "earliest") return { kind: from };
  if (!isObject(from)) return undefined;
  const keys = Object.keys(from);
  if (keys.length !== 1) return undefined;
  const timeUs = from["time_us"];
  if (timeUs !== undefined) return isCount(timeUs, 0) ? { kind: "time", timeUs } : undefined;
  const offsets = parseOffsets(from["offsets"]);
  return offsets === undefined ? undefined : { kind: "offsets", offsets };
}

function parseOffsets(value: unknown): ShardOffsets | undefined {
  if (!isObject(value)) return undefined;
  const entries = Object.entries(value);
  if (entries.length > OFFSETS_MAX) return undefined;
  // No prototype: a lane may be called anything.
  const offsets: Record<string, number> = Object.create(null);
  for (const [shard, offset] of entries) {
    if (!/^[^/]+\/\d+$/.test(shard) || !isCount(offset, 0)) return undefined;
    offsets[shard] = offset;
  }
  return offsets;
}

const strictDecoder = new TextDecoder("utf-8", { fatal: true });

function parseObject(payload: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(strictDecoder.decode(payload));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // Not UTF-8 or not JSON: the same answer for the sender.
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown, charactersMax: number): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= charactersMax;
}

function isCount(value: unknown, min: number): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= min;
}

/** A consumer's name becomes a file name, so it may not leave its folder. */
function isConsumerName(value: unknown): value is string {
  return typeof value === "string" && /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/.test(value);
}
