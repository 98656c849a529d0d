/**
 * Trades and quotes of one feed that are in the log already: what a feed catches up with after a restart.
 *
 * Reads each shard from a time on, up to what is visible now. The feed thread, before its lines open.
 */
import { decodeFrame } from "../../event/decode.ts";
import { topicLength, topicStart } from "../../event/ext.ts";
import { compilePatterns } from "../../event/topic.ts";
import { parseDecimal } from "../../book/decimal.ts";
import { EventCursor } from "../../log/batch.ts";
import { nodeFiles } from "../../log/node-files.ts";
import { LogReader } from "../../log/reader.ts";
import { type ShardInfo, ShardState } from "../../log/shard-state.ts";
import { decodePayload, type PayloadData } from "../../market/decode-payload.ts";
import type { Instrument } from "../../market/instrument.ts";
import { MarketMessage } from "../../market/message.ts";

export interface LogTicksOptions {
  readonly shards: readonly ShardInfo[];
  readonly venue: string;
  /** Received then or later, microseconds since 1970. */
  readonly fromUs: number;
  /** The instrument of a symbol, `undefined` when it is none of the feed's. */
  readonly instrumentOf: (symbol: string) => Instrument | undefined;
  /** Gets a message that is reused, and its JSON. Merged ticks are left out: they cannot be taken apart. */
  readonly handle: (message: MarketMessage, json: string) => void;
}

/** Hands over every such tick; those of one instrument in their order. @returns How many. */
export function readLogTicks({ shards, venue, fromUs, instrumentOf, handle }: LogTicksOptions): number {
  const wanted = new RegExp(`^market\\.${venue.replaceAll(/[^\w-]/g, "\\$&")}\\.(.+)\\.(?:trade|quote)$`);
  const ofVenue = compilePatterns([`market.${venue}.>`]);
  const message = new MarketMessage();
  const cursor = new EventCursor();
  let count = 0;
  for (const info of shards) {
    const reader = new LogReader(nodeFiles, info.directory, () => {});
    const visible = new ShardState(info.state).visibleOffset;
    const offset = reader.seekTime(fromUs, visible);
    for (let batch = reader.nextBatch(visible); batch !== undefined; batch = reader.nextBatch(visible)) {
      cursor.open(batch, offset);
      while (cursor.next()) {
        const topicAt = topicStart(cursor.frameAt);
        if (!ofVenue.matches(cursor.bytes, topicAt, topicLength(cursor.bytes, cursor.frameAt))) continue;
        const { topic, payload } = decodeFrame(cursor.bytes, cursor.frameAt);
        const symbol = wanted.exec(topic)?.[1];
        const instrument = symbol === undefined ? undefined : instrumentOf(symbol);
        if (instrument === undefined) continue;
        const data = decodePayload(payload, topic);
        if (data === undefined || !fill(message, instrument, data)) continue;
        handle(message, JSON.stringify(data));
        count++;
      }
    }
    reader.close();
  }
  return count;
}

/** The event as the message it was made of; `false` when it is none. */
function fill(message: MarketMessage, instrument: Instrument, data: PayloadData): boolean {
  const { kind, received_us: receivedUs, time_us: timeUs, id, side } = data;
  if ((kind !== "trade" && kind !== "quote") || typeof receivedUs !== "number") return false;
  if (data["merged"] !== undefined) return false;
  message.begin(kind, instrument, receivedUs);
  if (typeof timeUs === "number") message.setEventTime(timeUs);
  // Twice: a later number may raise the scale, and what is read first is kept at the scale of before.
  for (let turn = 0; turn < 2; turn++) {
    message.price = price(message, data["price"]);
    message.qty = qty(message, data["qty"]);
    message.bidPrice = price(message, data["bid"]);
    message.bidQty = qty(message, data["bid_qty"]);
    message.askPrice = price(message, data["ask"]);
    message.askQty = qty(message, data["ask_qty"]);
  }
  message.side = side === "buy" ? 1 : side === "sell" ? -1 : 0;
  if (typeof id === "number") message.id = id;
  else if (typeof id === "string") message.idText = id;
  if (typeof data["last_id"] === "number") message.lastId = data["last_id"];
  return true;
}

function price(message: MarketMessage, text: unknown): number {
  return typeof text === "string" && parseDecimal(text) !== undefined ? message.priceOf(text) : NaN;
}

function qty(message: MarketMessage, text: unknown): number {
  return typeof text === "string" && parseDecimal(text) !== undefined ? message.qtyOf(text) : NaN;
}
