/**
 * Control frames: what client and server say to each other besides events.
 *
 *     frame = u32be len | u8 0x20 | u8 opcode | payload
 *
 * Payloads in JSON are read into complete typed values, or refused with a sentence for the sender.
 * SUBSCRIBE, CONFIRM and EVENTS belong to delivery: `deliver/request.ts` and `deliver/events-frame.ts`.
 */
import type { ErrorCode } from "../errors.ts";
import { FRAME_PREFIX_BYTES, HEAD_CONTROL, OP_ACK, OP_ERROR } from "./frame.ts";
import { ACKS_NAMES } from "./run.ts";
import type { AcksName } from "./run.ts";

/** Bytes before the payload: length prefix, head, opcode. */
export const CONTROL_HEADER_BYTES = FRAME_PREFIX_BYTES + 2;
const NAME_CHARACTERS_MAX = 128;
const encoder = new TextEncoder();
const TOKEN_CHARACTERS_MAX = 8192;

export interface Hello {
  readonly token?: string;
  readonly producer?: string;
  readonly acks: AcksName;
  /** ACK frames shall also say how many of the events were duplicates. */
  readonly ack_details?: boolean;
}

export interface Welcome {
  readonly server: string;
  readonly version: string;
  readonly max_frame_bytes: number;
  readonly acks: AcksName;
  /** ACK frames carry the number of duplicates, as HELLO asked. */
  readonly ack_details?: true;
}

export interface ErrorReport {
  readonly code: ErrorCode;
  readonly message: string;
  /** Number, from 1, of the event frame that was refused. */
  readonly seq?: number;
  /** How many frames from `seq` on, when more than one. */
  readonly count?: number;
}

/** A value, or what is wrong with what was sent. */
export type Parsed<T> = { readonly value: T; readonly problem?: never } | { readonly problem: string };

/** A new buffer with a whole control frame. */
export function controlFrame(opcode: number, payload: Uint8Array | string): Uint8Array {
  const body = typeof payload === "string" ? encoder.encode(payload) : payload;
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

const sharedAck = ackFrame(0);
const sharedAckNumber = new DataView(sharedAck.buffer, CONTROL_HEADER_BYTES);

/** The same without allocating. One buffer a thread: send it before the next call. */
export function writeAck(done: number): Uint8Array {
  sharedAckNumber.setUint32(0, done / 4294967296);
  sharedAckNumber.setUint32(4, done >>> 0);
  return sharedAck;
}

const detailedAck = controlFrame(OP_ACK, new Uint8Array(16));
const detailedAckNumbers = new DataView(detailedAck.buffer, CONTROL_HEADER_BYTES);

/** An ACK for clients that asked for details, as `writeAck()`. @param duplicates Known so far on the connection. */
export function writeDetailedAck(done: number, duplicates: number): Uint8Array {
  detailedAckNumbers.setUint32(0, done / 4294967296);
  detailedAckNumbers.setUint32(4, done >>> 0);
  detailedAckNumbers.setUint32(8, duplicates / 4294967296);
  detailedAckNumbers.setUint32(12, duplicates >>> 0);
  return detailedAck;
}

/** The number in an ACK's payload, or `undefined` when the payload is not one. */
export function parseAck(payload: Uint8Array): number | undefined {
  if (payload.length !== 8 && payload.length !== 16) return undefined;
  return Number(new DataView(payload.buffer, payload.byteOffset, 8).getBigUint64(0));
}

/** The duplicates in an ACK's payload, `undefined` when it does not say. */
export function parseDuplicates(payload: Uint8Array): number | undefined {
  if (payload.length !== 16) return undefined;
  return Number(new DataView(payload.buffer, payload.byteOffset + 8, 8).getBigUint64(0));
}

export function parseHello(payload: Uint8Array): Parsed<Hello> {
  const fields = parseObject(payload);
  if (fields === undefined) return { problem: "HELLO is not a JSON object" };
  const { token, producer, acks = "none", ack_details } = fields;
  const known = ACKS_NAMES.find((name) => name === acks);
  if (known === undefined) return { problem: `acks must be one of ${ACKS_NAMES.join(", ")}` };
  if (token !== undefined && !isText(token, TOKEN_CHARACTERS_MAX)) {
    return { problem: "token must be a string" };
  }
  if (producer !== undefined && !isText(producer, NAME_CHARACTERS_MAX)) {
    return { problem: `producer must be a string of 1 to ${NAME_CHARACTERS_MAX} characters` };
  }
  if (ack_details !== undefined && typeof ack_details !== "boolean") {
    return { problem: "ack_details must be true or false" };
  }
  return {
    value: {
      acks: known,
      ...(ack_details === true ? { ack_details } : {}),
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
