/** Where a cache keeps its blocks: in memory, or in the browser's IndexedDB, where they survive a reload. */
import { type DBSchema, openDB } from "idb";

/** Compressed events of one topic. */
export interface CachedBlock {
  readonly topic: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** When it was written or read last. */
  readonly usedMs: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface CacheShelf {
  put(block: CachedBlock): Promise<void>;
  /** Blocks of a topic that touch [fromMs, toMs), oldest first; they count as used at `nowMs`. */
  range(topic: string, fromMs: number, toMs: number, nowMs: number): Promise<CachedBlock[]>;
  /** Forgets blocks that ended before. */
  expire(beforeMs: number): Promise<void>;
  /** Forgets the blocks least recently used until at most so many bytes are left. */
  evict(bytesLeft: number): Promise<void>;
  bytes(): Promise<number>;
  clear(): Promise<void>;
  close(): void;
}

/** Blocks in memory: for Node, Bun and Deno, and for pages that want nothing stored. */
export function memoryShelf(): CacheShelf {
  let blocks: CachedBlock[] = [];
  const total = () => blocks.reduce((sum, { bytes }) => sum + bytes.length, 0);
  return {
    put: (block) => done(blocks.push(block)),
    range(topic, fromMs, toMs, nowMs) {
      const isMeant = (block: CachedBlock) =>
        block.topic === topic && block.fromMs < toMs && block.toMs >= fromMs;
      blocks = blocks.map((block) => isMeant(block) ? { ...block, usedMs: nowMs } : block);
      return Promise.resolve(blocks.filter(isMeant));
    },
    expire: (beforeMs) => done(blocks = blocks.filter(({ toMs }) => toMs >= beforeMs)),
    evict(bytesLeft) {
      const byUse = blocks.toSorted((a, b) => a.usedMs - b.usedMs);
      const gone = new Set<CachedBlock>();
      let left = total();
      for (const block of byUse) {
        if (left <= bytesLeft) break;
        gone.add(block);
        left -= block.bytes.length;
      }
      return done(blocks = blocks.filter((block) => !gone.has(block)));
    },
    bytes: () => Promise.resolve(total()),
    clear: () => done(blocks = []),
    close() {},
  };
}

function done(_: unknown): Promise<void> {
  return Promise.resolve();
}

interface Blocks extends DBSchema {
  blocks: {
    key: number;
    value: CachedBlock;
    indexes: { topic: [string, number]; usedMs: number; toMs: number };
  };
}

/** Opens (or makes) a database of the browser. @throws When there is no IndexedDB, or it is refused. */
export async function openIndexedDbShelf(name = "esc-market"): Promise<CacheShelf> {
  const database = await openDB<Blocks>(name, 1, {
    upgrade(database) {
      const store = database.createObjectStore("blocks", { autoIncrement: true });
      store.createIndex("topic", ["topic", "toMs"]);
      store.createIndex("usedMs", "usedMs");
      store.createIndex("toMs", "toMs");
    },
  });
  let known: number | undefined;
  const measure = async () => {
    let sum = 0;
    for (const { bytes } of await database.getAll("blocks")) sum += bytes.length;
    return sum;
  };
  const drop = async (index: "usedMs" | "toMs", range: IDBKeyRange | null, goesOn: () => boolean) => {
    const transaction = database.transaction("blocks", "readwrite");
    let cursor = await transaction.store.index(index).openCursor(range);
    while (cursor !== null && goesOn()) {
      known = (known ?? 0) - cursor.value.bytes.length;
      await cursor.delete();
      cursor = await cursor.continue();
    }
    await transaction.done;
  };
  const bytes = async () => known ??= await measure();
  return {
    bytes,
    async put(block) {
      known = await bytes() + block.bytes.length;
      await database.add("blocks", block);
    },
    async range(topic, fromMs, toMs, nowMs) {
      const transaction = database.transaction("blocks", "readwrite");
      const found: CachedBlock[] = [];
      const keys = IDBKeyRange.bound([topic, fromMs], [topic, Infinity]);
      let cursor = await transaction.store.index("topic").openCursor(keys);
      while (cursor !== null) {
        const block = { ...cursor.value, usedMs: nowMs };
        if (block.fromMs < toMs) {
          found.push(block);
          await cursor.update(block);
        }
        cursor = await cursor.continue();
      }
      await transaction.done;
      return found;
    },
    async expire(beforeMs) {
      await bytes();
      await drop("toMs", IDBKeyRange.upperBound(beforeMs, true), () => true);
    },
    async evict(bytesLeft) {
      await bytes();
      await drop("usedMs", null, () => (known ?? 0) > bytesLeft);
    },
    async clear() {
      await database.clear("blocks");
      known = 0;
    },
    close: () => database.close(),
  };
}
