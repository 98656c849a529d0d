/**
 * Rows for `COPY events FROM STDIN (FORMAT binary)`, written straight from frames.
 *
 *     file  = "PGCOPY\n\xff\r\n\0" | i32 flags 0 | i32 extension length 0 | tuple* | i16 -1
 *     tuple = i16 number of fields | field*         field = i32 length (-1: NULL) | bytes
 *
 * Big-endian (PostgreSQL's manual, COPY, "Binary Format"). Text that is plain ASCII is copied as it is; other
 * text goes through a decoder, so that ids and keys of any bytes become text the server takes.
 *
 * One buffer, reused; no object per event unless it carries headers or text that is not ASCII.
 */
import { framePriority, payloadEnd, payloadStart, TagCursor, topicLength, topicStart } from "../event/ext.ts";
import { timeOf } from "../event/decode.ts";
import { TAG_HEADER, TAG_ID, TAG_KEY, TAG_TIME } from "../event/frame.ts";
import { eventRow, type EventRows, storable } from "./event-rows.ts";
import { EVENT_COLUMNS } from "./schema.ts";

const SIGNATURE = Buffer.from("PGCOPY\n\xff\r\n\0", "latin1");
/** Everything of a tuple but its variable parts: count, lengths, and the numbers. */
const FIXED_BYTES = 2 + EVENT_COLUMNS.length * 4 + 4 + 8 + 2 + 8 + 8;
/** Text that is not UTF-8 grows by at most this: a bad byte becomes the three of U+FFFD. */
const TEXT_GROWTH = 3;

const decoder = new TextDecoder();

export class CopyBinary {
  #bytes = Buffer.alloc(64 * 1024);
  #view = viewOf(this.#bytes);
  #at = 0;
  readonly #tags = new TagCursor();

  /** All rows as one file. @returns A view that is valid until the next call. */
  encode(rows: EventRows): Buffer {
    this.#at = SIGNATURE.copy(this.#bytes);
    this.#int32(0);
    this.#int32(0);
    for (let index = 0; index < rows.count; index++) this.#row(rows, index);
    this.#reserve(2);
    this.#int16(-1);
    return this.#bytes.subarray(0, this.#at);
  }

  #row(rows: EventRows, index: number): void {
    const { bytes } = rows;
    const at = rows.frameAt[index] as number;
    const payloadAt = payloadStart(bytes, at);
    const payloadTo = payloadEnd(bytes, at);
    this.#reserve(FIXED_BYTES + (payloadTo - at) * TEXT_GROWTH);
    this.#int16(EVENT_COLUMNS.length);
    this.#int32(4);
    this.#int32(rows.logId[index] as number);
    this.#int64Field(rows.offset[index] as number);
    this.#textField(bytes, topicStart(at), topicLength(bytes, at));
    this.#int32(2);
    this.#int16(framePriority(bytes, at));
    this.#int64Field(rows.receivedUs[index] as number);
    const tags = this.#tags;
    if (tags.find(bytes, at, TAG_TIME)) this.#int64Field(timeOf(bytes, tags.start));
    else this.#int32(-1);
    if (tags.find(bytes, at, TAG_ID)) this.#textField(bytes, tags.start, tags.length);
    else this.#int32(-1);
    if (tags.find(bytes, at, TAG_KEY)) this.#textField(bytes, tags.start, tags.length);
    else this.#int32(-1);
    if (tags.find(bytes, at, TAG_HEADER)) this.#string(eventRow(rows, index).headers ?? "");
    else this.#int32(-1);
    this.#reserve(4 + payloadTo - payloadAt);
    this.#int32(payloadTo - payloadAt);
    this.#bytes.set(bytes.subarray(payloadAt, payloadTo), this.#at);
    this.#at += payloadTo - payloadAt;
  }

  #textField(source: Uint8Array, from: number, length: number): void {
    const start = this.#at + 4;
    for (let index = 0; index < length; index++) {
      const byte = source[from + index] as number;
      if (byte === 0 || byte > 0x7f) {
        this.#string(storable(decoder.decode(source.slice(from, from + length))));
        return;
      }
      this.#bytes[start + index] = byte;
    }
    this.#int32(length);
    this.#at += length;
  }

  #string(text: string): void {
    const length = Buffer.byteLength(text);
    // JSON may escape every byte of a header.
    this.#reserve(FIXED_BYTES + length);
    this.#int32(length);
    this.#at += this.#bytes.write(text, this.#at);
  }

  #int16(value: number): void {
    this.#view.setInt16(this.#at, value);
    this.#at += 2;
  }

  #int32(value: number): void {
    this.#view.setInt32(this.#at, value);
    this.#at += 4;
  }

  #int64Field(value: number): void {
    this.#int32(8);
    this.#view.setInt32(this.#at, Math.floor(value / 4294967296));
    this.#view.setUint32(this.#at + 4, value % 4294967296 + (value < 0 ? 4294967296 : 0));
    this.#at += 8;
  }

  #reserve(more: number): void {
    if (this.#at + more <= this.#bytes.length) return;
    const grown = Buffer.alloc(Math.max(this.#at + more, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
    this.#view = viewOf(grown);
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
