/** One outside producer of the kill loop: a durable TCP client that survives its server, and keeps the list. */
import { Client } from "../../src/client/client.ts";
import { dialTcp } from "../../src/client/tcp.ts";
import type { Random } from "../support/seed.ts";

export const CRASH_TOPIC = "crash";

/** Largest payload: several producers' windows together make batches of many sizes. */
const PAYLOAD_BYTES_MAX = 600;
/** Few enough events in flight that most cycles have acknowledgements, and enough for batches of many. */
const IN_FLIGHT_MAX = 64;
/** Events published at one go, and the pause behind: bounds what a thousand cycles amount to. */
const BURST_COUNT = 16;
const BURST_MS = 2;
const GIVE_UP_MS = 60_000;
/** Nobody listens there: what a dead server's address amounts to. */
const PORT_OF_NOBODY = 1;

/** Where the server listens now; `undefined` while there is none. */
export interface ServerPlace {
  port: number | undefined;
}

/**
 * Event n of producer p, from 1, has the message id `p-n`, the key `p`, and a payload that begins with `p-n `.
 *
 * acknowledged ≤ published
 */
export class CrashProducer {
  readonly number: number;
  /** Events 1 to this were acknowledged as durable: no crash may lose one. */
  acknowledged = 0;
  published = 0;
  /** Events that the server refused, with its words: none may be. */
  readonly refusals: string[] = [];
  readonly #priority: number;
  readonly #random: Random;
  #isStopping = false;

  /** @param priority Of all its events: decides their lane. */
  constructor(number: number, priority: number, random: Random) {
    this.number = number;
    this.#priority = priority;
    this.#random = random;
  }

  /** Publishes until `stop()`, whatever becomes of the server; then until all is acknowledged. */
  async run(place: ServerPlace): Promise<void> {
    const client = await Client.connect({
      dial: (events) => dialTcp({ host: "127.0.0.1", port: place.port ?? PORT_OF_NOBODY })(events),
      acks: "durable",
      inFlightMax: IN_FLIGHT_MAX,
      producer: `crash-${this.number}`,
      reconnect: { delayMs: 5, delayMsMax: 20, giveUpMs: GIVE_UP_MS },
      onAnswered: (answered) => {
        this.acknowledged = answered;
      },
      onRefused: (refusal) => this.refusals.push(`event ${refusal.seq}: ${refusal.code} ${refusal.message}`),
    });
    try {
      while (!this.#isStopping) {
        for (let count = 0; count < BURST_COUNT; count++) {
          if (!client.publisher.publish(this.#event())) break;
          this.published++;
        }
        await client.publisher.room();
        await Bun.sleep(BURST_MS);
      }
      await client.publisher.settled();
    } finally {
      client.abort();
    }
  }

  /** No more new events. */
  stop(): void {
    this.#isStopping = true;
  }

  #event() {
    const id = `${this.number}-${this.published + 1}`;
    const payload = `${id} ${"x".repeat(this.#random.below(PAYLOAD_BYTES_MAX))}`;
    return { topic: CRASH_TOPIC, payload, id, key: String(this.number), priority: this.#priority };
  }
}
