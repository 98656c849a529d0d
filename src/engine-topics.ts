/**
 * The topics of earlier runs: read before the dispatcher starts, written while the server works.
 *
 *     <data>/topics.json    {"topics": [{"topic", "lane", "events", "received_us"}]}
 *
 * The file is a convenience, derived from what was dispatched: it may be deleted, and after a crash its
 * counts are those of up to SAVE_MS before. Main thread.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { TopicRegistry } from "./dispatch/topic-registry.ts";
import type { Logger } from "./logging/logger.ts";

/** Pause between two looks whether there is something to write. */
const SAVE_MS = 5_000;

export class TopicCatalogue {
  readonly #path: string;
  readonly #registry: TopicRegistry;
  readonly #laneNames: readonly string[];
  readonly #logger: Logger;
  readonly #timer: ReturnType<typeof setInterval>;
  #savedEvents: number;

  /**
   * Enters the topics of the file into an empty registry. Before the dispatcher starts: it is the
   * registry's only writer from then on.
   *
   * @param laneNames In the order of their numbers.
   */
  constructor(path: string, memory: SharedArrayBuffer, laneNames: readonly string[], logger: Logger) {
    this.#path = path;
    this.#registry = new TopicRegistry(memory);
    this.#laneNames = laneNames;
    this.#logger = logger;
    this.#load();
    this.#savedEvents = this.#events();
    this.#timer = setInterval(() => this.save(), SAVE_MS).unref();
  }

  /** Writes the file if anything was dispatched since; a failure is logged and tried again later. */
  save(): void {
    const events = this.#events();
    if (events === this.#savedEvents) return;
    const topics = this.#registry.list().map(({ topic, lane, events, receivedUs }) => ({
      topic,
      lane: this.#laneNames[lane],
      events,
      received_us: receivedUs,
    }));
    try {
      writeFileSync(`${this.#path}.new`, JSON.stringify({ topics }));
      renameSync(`${this.#path}.new`, this.#path);
      this.#savedEvents = events;
    } catch (error) {
      this.#logger.limited("topics", "warn", "cannot write the list of topics", { cause: String(error) });
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.save();
  }

  #events(): number {
    let sum = 0;
    for (let topic = 0; topic < this.#registry.count; topic++) sum += this.#registry.events[topic] ?? 0;
    return sum;
  }

  #load(): void {
    try {
      const { topics } = JSON.parse(readFileSync(this.#path, "utf8")) as { topics: unknown };
      if (Array.isArray(topics)) {
        for (const entry of topics) this.#enter(entry as Record<string, unknown>);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      this.#logger.warn("the list of topics cannot be read, it is begun anew", { cause: String(error) });
    }
  }

  #enter(entry: Record<string, unknown>): void {
    const { topic, lane, events, received_us: receivedUs } = entry;
    const bytes = Buffer.from(String(topic));
    if (bytes.length === 0 || bytes.length > 255) return;
    // A lane that was taken out of the configuration: the next event of the topic says the new one.
    const number = this.#registry.add(
      bytes,
      0,
      bytes.length,
      Math.max(0, this.#laneNames.indexOf(String(lane))),
    );
    if (number < 0) return;
    this.#registry.events[number] = Number(events) || 0;
    this.#registry.receivedUs[number] = Number(receivedUs) || 0;
  }
}
