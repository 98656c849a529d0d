/** A producer that numbers its events, knows which of them were acknowledged, and sends the rest again. */
import { Client } from "../../src/client/client.ts";
import { dialTcp } from "../../src/client/tcp.ts";
import type { EscServer } from "../support/esc.ts";
import { payloadOf, queryEvents } from "./read-log.ts";

export const NUMBERED_TOPIC = "numbered";

/** Event n has payload and message id `n`, and priority n mod 5. Numbers start at 0. */
export class NumberedProducer {
  /** Every event below is acknowledged as durable. */
  acknowledged = 0;
  /** Every event below was sent at least once. */
  sent = 0;

  /**
   * Sends from the first unacknowledged event on, until the connection breaks or `countMax` are acknowledged.
   *
   * @param onAcknowledged Told of every growth of `acknowledged`.
   */
  async run(
    server: EscServer,
    options: { countMax?: number; onAcknowledged?: (acknowledged: number) => void } = {},
  ): Promise<void> {
    const first = this.acknowledged;
    const { countMax = Infinity } = options;
    const client = await Client.connect({
      dial: dialTcp({ host: "127.0.0.1", port: server.tcpPort }),
      acks: "durable",
      onAnswered: (answered) => {
        this.acknowledged = first + answered;
        options.onAcknowledged?.(this.acknowledged);
      },
      // After a refusal "the first n" would not be all durable. None may come: the window is below any lane's queue.
      onRefused: (refusal) => {
        if (refusal.code !== "SHUTTING_DOWN") throw new Error(`refused: ${refusal.code} ${refusal.message}`);
      },
    });
    let hasEnded = false;
    const ended = client.ended.then(() => hasEnded = true);
    for (let next = first; next < countMax && !hasEnded;) {
      const event = { topic: NUMBERED_TOPIC, payload: `${next}`, id: `${next}`, priority: next % 5 };
      if (client.publisher.publish(event)) this.sent = Math.max(this.sent, ++next);
      // Rejects when the connection breaks: that ends the loop.
      else await client.publisher.room().catch(() => {});
    }
    await client.publisher.settled().catch(() => {});
    client.abort();
    await ended;
  }
}

/** Payload numbers of everything stored, in order of the number; and whether each shard has them ascending. */
export async function storedNumbers(server: EscServer): Promise<{ numbers: number[]; areOrdered: boolean }> {
  const events = await queryEvents(server, NUMBERED_TOPIC);
  const last = new Map<string, number>();
  let areOrdered = true;
  const numbers = events.map((event) => {
    const number = Number(payloadOf(event).toString());
    const shard = `${event.lane}/${event.shard}`;
    if (number <= (last.get(shard) ?? -1)) areOrdered = false;
    last.set(shard, number);
    return number;
  });
  return { numbers: numbers.toSorted((a, b) => a - b), areOrdered };
}

/** 0, 1, 2, … */
export function numbersBelow(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
