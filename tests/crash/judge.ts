/** What the server shows of its logs, held against what the producers know. */
import type { EscServer } from "../support/esc.ts";
import { CRASH_TOPIC, type CrashProducer } from "./producer.ts";

const PAGE_COUNT = 10_000;

/** What the kill loop is about; every list is empty when all is well. */
export interface Findings {
  readonly lost: string[];
  readonly doubled: string[];
  readonly disordered: string[];
  readonly refused: string[];
}

export function emptyFindings(): Findings {
  return { lost: [], doubled: [], disordered: [], refused: [] };
}

/**
 * Reads the logs through HTTP, from where it stopped the last time: what it has once been shown lay below the
 * durable offset and must never change, so a crash cannot make it look again.
 *
 * A producer's events all lie in one shard. There they must be 1, 2, 3 …: a smaller number is a double, a larger
 * one is a hole.
 */
export class Judge {
  readonly findings = emptyFindings();
  /** By producer: the number of its last event seen. */
  readonly #seen = new Map<number, number>();
  /** By `lane/shard`: the first offset not looked at. */
  readonly #next = new Map<string, number>();

  /** Events looked at. */
  get eventCount(): number {
    return [...this.#seen.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Reads on in every shard. */
  async read(server: EscServer): Promise<void> {
    const stats: { lanes: Record<string, { shards: unknown[] }> } =
      await (await fetch(server.url("/api/v1/stats"))).json();
    for (const [lane, { shards }] of Object.entries(stats.lanes)) {
      for (const shard of shards.keys()) await this.#readShard(server, lane, shard);
    }
  }

  /** @param producers With what each was told until the last kill. */
  requireAcknowledged(producers: readonly { number: number; acknowledged: number }[]): void {
    for (const { number, acknowledged } of producers) {
      const seen = this.#seen.get(number) ?? 0;
      if (seen < acknowledged) this.findings.lost.push(`${number}-${seen + 1} to ${number}-${acknowledged}`);
    }
  }

  requireNoRefusal(producers: readonly CrashProducer[]): void {
    for (const { number, refusals } of producers) {
      this.findings.refused.push(...refusals.splice(0).map((text) => `${number}: ${text}`));
    }
  }

  async #readShard(server: EscServer, lane: string, shard: number): Promise<void> {
    const key = `${lane}/${shard}`;
    for (;;) {
      const from = this.#next.get(key) ?? 0;
      const query = new URLSearchParams({
        topic: CRASH_TOPIC,
        lane,
        shard: String(shard),
        from_offset: String(from),
        limit: String(PAGE_COUNT),
      });
      const response = await fetch(server.url(`/api/v1/events?${query}`));
      const page: { events: { offset: number; payload: string }[]; cursor?: string } = await response.json();
      for (const event of page.events) {
        if (event.offset !== (this.#next.get(key) ?? 0)) {
          this.findings.lost.push(`${key} has nothing at offset ${this.#next.get(key) ?? 0}`);
        }
        this.#next.set(key, event.offset + 1);
        this.#look(event.payload);
      }
      if (page.cursor === undefined) return;
    }
  }

  #look(payload: string): void {
    const [producer = NaN, number = NaN] = payload.slice(0, payload.indexOf(" ")).split("-").map(Number);
    const expected = (this.#seen.get(producer) ?? 0) + 1;
    if (number === expected) this.#seen.set(producer, number);
    else if (number < expected) this.findings.doubled.push(`${producer}-${number} after ${expected - 1}`);
    else {
      this.findings.disordered.push(`${producer}-${number} where ${expected} was due`);
      this.#seen.set(producer, number);
    }
  }
}
