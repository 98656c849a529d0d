/**
 * What a client has seen of the market lately: the newest event of each topic in memory, and the events of the last
 * hour behind it, by topic and time.
 *
 *     event ─▶ newest by topic (memory, least recently used gives way)
 *        └───▶ block being filled ─every second or 512 events─▶ compressed ─▶ shelf: IndexedDB, or memory
 *
 * Bytes on the shelf ≤ bytesMax: beyond, the blocks least recently used leave until 80 % are left; older ones than
 * ageMaxMs leave first.
 */
import type { PayloadData } from "../../market/decode-payload.ts";
import { type CachedBlock, type CacheShelf, memoryShelf } from "./cache-shelf.ts";

export interface CacheOptions {
  /** Default 100 MiB. */
  readonly bytesMax?: number;
  /** Default one hour. */
  readonly ageMaxMs?: number;
  /** Newest events kept in memory, one a topic. Default 10,000. */
  readonly topicsMax?: number;
  /** Kinds of which history is kept. Default: trade, quote, bar, book_snapshot, indicator, pattern, profile, quality. */
  readonly kinds?: readonly string[];
  /** Where blocks go; default: memory. `openIndexedDbShelf()` survives a reload of the page. */
  readonly shelf?: CacheShelf;
  readonly now?: () => number;
}

const KINDS = [
  "trade",
  "quote",
  "bar",
  "book_snapshot",
  "indicator",
  "pattern",
  "profile",
  "flow",
  "quality",
];
const BLOCK_EVENTS = 512;
const FLUSH_MS = 1000;
const LEFT_SHARE = 0.8;

interface Kept {
  readonly timeMs: number;
  readonly data: PayloadData;
}

export class MarketCache {
  readonly #options: Required<Omit<CacheOptions, "shelf" | "kinds">>;
  readonly #kinds: ReadonlySet<string>;
  readonly #shelf: CacheShelf;
  readonly #newest = new Map<string, PayloadData>();
  #open = new Map<string, Kept[]>();
  readonly #timer: ReturnType<typeof setInterval>;
  /** Writes happen one after the other. */
  #writes: Promise<void> = Promise.resolve();
  readonly #onError: (problem: unknown) => void;

  constructor(options: CacheOptions = {}, onError: (problem: unknown) => void = () => {}) {
    const { bytesMax = 100 * 2 ** 20, ageMaxMs = 3_600_000, topicsMax = 10_000, now = Date.now } = options;
    this.#options = { bytesMax, ageMaxMs, topicsMax, now };
    this.#kinds = new Set(options.kinds ?? KINDS);
    this.#shelf = options.shelf ?? memoryShelf();
    this.#onError = onError;
    this.#timer = setInterval(() => this.flush(), FLUSH_MS);
  }

  /** Takes an event. Nothing waits: blocks are written behind. */
  put(topic: string, data: PayloadData): void {
    const newest = this.#newest;
    newest.delete(topic);
    newest.set(topic, data);
    if (newest.size > this.#options.topicsMax) {
      const [oldest] = newest.keys();
      if (oldest !== undefined) newest.delete(oldest);
    }
    if (!this.#kinds.has(String(data["kind"]))) return;
    const block = this.#open.get(topic) ?? [];
    this.#open.set(topic, block);
    block.push({ timeMs: this.#options.now(), data });
    if (block.length >= BLOCK_EVENTS) this.#write(topic, block);
  }

  /** The newest event of a topic, from memory. */
  get(topic: string): PayloadData | undefined {
    return this.#newest.get(topic);
  }

  /** Topics with an event in memory. */
  size(): number {
    return this.#newest.size;
  }

  /** Events of a topic that came in [fromMs, toMs), oldest first. */
  async getRange(topic: string, fromMs = 0, toMs = Infinity): Promise<PayloadData[]> {
    const open = this.#open.get(topic) ?? [];
    await this.#writes;
    const blocks = await this.#shelf.range(topic, fromMs, toMs, this.#options.now());
    const kept = (await Promise.all(blocks.map(unpack))).flat();
    return [...kept, ...open].filter(({ timeMs }) => timeMs >= fromMs && timeMs < toMs).map(({ data }) =>
      data
    );
  }

  /** Bytes of blocks that were written. */
  async bytes(): Promise<number> {
    await this.#writes;
    return await this.#shelf.bytes();
  }

  /** Forgets everything, on the shelf too. */
  async clear(): Promise<void> {
    this.#newest.clear();
    this.#open = new Map();
    this.#enqueue(() => this.#shelf.clear());
    await this.#writes;
  }

  /** Writes what is still open. */
  flush(): Promise<void> {
    for (const [topic, block] of this.#open) this.#write(topic, block);
    return this.#writes;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
    this.#shelf.close();
  }

  #write(topic: string, block: Kept[]): void {
    this.#open.delete(topic);
    if (block.length === 0) return;
    this.#enqueue(async () => {
      const nowMs = this.#options.now();
      await this.#shelf.put(await pack(topic, block, nowMs));
      await this.#shelf.expire(nowMs - this.#options.ageMaxMs);
      if (await this.#shelf.bytes() > this.#options.bytesMax) {
        await this.#shelf.evict(this.#options.bytesMax * LEFT_SHARE);
      }
    });
  }

  #enqueue(work: () => Promise<void>): void {
    this.#writes = this.#writes.then(work).catch((problem) => this.#onError(problem));
  }
}

async function pack(topic: string, block: readonly Kept[], usedMs: number): Promise<CachedBlock> {
  const text = JSON.stringify(block.map(({ timeMs, data }) => [timeMs, data]));
  const bytes = await through(new TextEncoder().encode(text), new CompressionStream("gzip"));
  return { topic, fromMs: block[0]?.timeMs ?? 0, toMs: block.at(-1)?.timeMs ?? 0, usedMs, bytes };
}

async function unpack({ bytes }: CachedBlock): Promise<Kept[]> {
  const text = new TextDecoder().decode(await through(bytes, new DecompressionStream("gzip")));
  const rows: [number, PayloadData][] = JSON.parse(text);
  return rows.map(([timeMs, data]) => ({ timeMs, data }));
}

async function through(
  bytes: Uint8Array<ArrayBuffer>,
  transform: CompressionStream | DecompressionStream,
): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(transform);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
