/**
 * Payloads of market events, JSON or binary (`binary.ts` has the format), back into the object the JSON form is.
 *
 * Runs in browsers too: nothing here needs more than typed arrays and TextDecoder.
 */
import { formatScaled } from "../book/decimal.ts";
import { MESSAGE_KINDS } from "./message.ts";

/** What a payload says; prices and quantities are texts. */
export type PayloadData = Readonly<Record<string, unknown>>;

const VERSION = 1;
const OPEN_BRACE = 0x7b;
const utf8 = new TextDecoder();

/**
 * Reads a payload of the topic `market.<venue>.<symbol>.<kind>`.
 *
 * @returns `undefined` when it is neither a JSON object nor a whole binary message.
 */
export function decodePayload(bytes: Uint8Array, topic: string): PayloadData | undefined {
  if (bytes[0] === OPEN_BRACE) return parseObject(utf8.decode(bytes));
  if (bytes[0] !== VERSION) return undefined;
  const parts = topic.split(".");
  const reader = new PayloadReader(bytes);
  const data = reader.read(parts[1] ?? "", parts.slice(2, -1).join("."));
  return reader.isWhole ? data : undefined;
}

/** A JSON object, `undefined` when the text is none. */
export function parseObject(text: string): PayloadData | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

class PayloadReader {
  readonly #bytes: Uint8Array;
  #at = 1;
  #isBroken = false;
  #priceScale = 0;
  #qtyScale = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Everything was read, and nothing was missing. */
  get isWhole(): boolean {
    return !this.#isBroken && this.#at === this.#bytes.length;
  }

  read(venue: string, symbol: string): PayloadData {
    const kind = MESSAGE_KINDS[this.#byte()];
    this.#priceScale = this.#byte();
    this.#qtyScale = this.#byte();
    const receivedUs = this.#number();
    const timeUs = this.#number();
    const head = {
      kind,
      venue,
      symbol,
      ...(timeUs === 0 ? {} : { time_us: timeUs }),
      received_us: receivedUs,
    };
    switch (kind) {
      case "trade":
        return { ...head, ...this.#trade() };
      case "quote":
        return { ...head, ...this.#quote() };
      case "book_snapshot":
      case "book_delta":
        return { ...head, ...this.#book() };
      case "bar":
        return { ...head, ...this.#bar() };
      default:
        this.#isBroken = true;
        return head;
    }
  }

  #trade(): object {
    const fields = this.#given({ price: this.#price(), qty: this.#qty(), id: this.#number() });
    const side = [undefined, "buy", "sell"][this.#byte()];
    const idText = this.#text();
    return {
      ...fields,
      ...(side === undefined ? {} : { side }),
      ...(idText === "" ? {} : { id: idText }),
    };
  }

  #quote(): object {
    return this.#given({
      bid: this.#price(),
      bid_qty: this.#qty(),
      ask: this.#price(),
      ask_qty: this.#qty(),
      last_id: this.#number(),
      price: this.#price(),
    });
  }

  #book(): object {
    const ids = this.#given({
      first_id: this.#number(),
      last_id: this.#number(),
      previous_id: this.#number(),
      checksum: this.#number(),
    });
    return { bids: this.#levels(), asks: this.#levels(), ...ids };
  }

  #bar(): object {
    return this.#given({
      start_us: this.#number(),
      interval_ms: this.#number(),
      open: this.#price(),
      high: this.#price(),
      low: this.#price(),
      price: this.#price(),
      qty: this.#qty(),
      trades: this.#number(),
    });
  }

  #levels(): [string, string][] {
    const count = this.#number();
    const levels: [string, string][] = [];
    for (let at = 0; at < count && !this.#isBroken; at++) {
      levels.push([this.#price() ?? "", this.#qty() ?? ""]);
    }
    return levels;
  }

  /** The fields that are there. */
  #given(fields: Readonly<Record<string, string | number | undefined>>): object {
    return Object.fromEntries(
      Object.entries(fields).filter(([, value]) => value !== undefined && !Number.isNaN(value)),
    );
  }

  #price(): string | undefined {
    const mantissa = this.#number();
    return Number.isNaN(mantissa) ? undefined : formatScaled(mantissa, this.#priceScale);
  }

  #qty(): string | undefined {
    const mantissa = this.#number();
    return Number.isNaN(mantissa) ? undefined : formatScaled(mantissa, this.#qtyScale);
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) this.#isBroken = true;
    return byte ?? 0;
  }

  /** NaN: absent. */
  #number(): number {
    const coded = this.#varint() - 1;
    if (coded < 0) return NaN;
    return coded % 2 === 0 ? coded / 2 : -(coded + 1) / 2;
  }

  #text(): string {
    const length = this.#varint();
    const end = this.#at + length;
    if (end > this.#bytes.length) this.#isBroken = true;
    const text = utf8.decode(this.#bytes.subarray(this.#at, end));
    this.#at = end;
    return text;
  }

  #varint(): number {
    let value = 0;
    for (let factor = 1; !this.#isBroken; factor *= 128) {
      const byte = this.#byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      if (factor > 2 ** 49) this.#isBroken = true;
    }
    return 0;
  }
}
