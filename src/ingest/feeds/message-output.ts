/** Where a decoder puts what it has decoded: the one message it reuses, and the sink that takes it. */
import { MarketMessage } from "../../market/message.ts";
import type { DecodeResult, MessageSink } from "./decoder.ts";

export class MessageOutput {
  readonly message = new MarketMessage();
  readonly #sink: MessageSink;

  constructor(sink: MessageSink) {
    this.#sink = sink;
  }

  /** Gives the message as it is to the sink. */
  emit(): DecodeResult {
    this.#sink(this.message);
    return "ok";
  }

  /** Gives a message that concerns the line and no instrument. */
  text(kind: "ack" | "error" | "heartbeat" | "reconnect", text: string, receivedUs: number): DecodeResult {
    this.message.beginText(kind, text, receivedUs);
    return this.emit();
  }
}
