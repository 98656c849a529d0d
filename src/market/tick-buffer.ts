/**
 * The newest ticks of one instrument, as the JSON texts they were published as, for queries.
 *
 *     trades and quotes ─▶ [ sealed blocks, compressed if wanted | open block ]        ticks ≤ countMax, age ≤ ageMaxUs
 *
 *     fifo         a full buffer loses its oldest tick          lifo        it refuses the new one
 *     priority     it loses its oldest quote, then trades       time_based  only age counts; full, it refuses
 *
 * Nothing here is written to disk: the log has every tick, and the owner fills the buffer from it after a restart.
 */

export const BUFFER_STRATEGIES = ["fifo", "lifo", "priority", "time_based"] as const;
export type BufferStrategy = (typeof BUFFER_STRATEGIES)[number];

export interface TickBufferOptions {
  readonly countMax: number;
  readonly ageMaxUs: number;
  readonly strategy: BufferStrategy;
  /** Only with fifo and time_based, whose ticks leave in order. */
  readonly compress: boolean;
}

export type TickKind = "trade" | "quote";

interface Tick {
  readonly kind: TickKind;
  readonly receivedUs: number;
  readonly json: string;
}

/** Ticks compressed together: enough that zstd finds what they have in common. */
const BLOCK_TICKS = 256;

interface Block {
  readonly count: number;
  readonly firstUs: number;
  readonly lastUs: number;
  readonly bytes: Uint8Array;
}

export class TickBuffer {
  /** Ticks that left, or were refused, because the buffer was full. */
  evictedCount = 0;
  readonly #options: TickBufferOptions;
  readonly #blocks: Block[] = [];
  readonly #ticks: Tick[] = [];
  #blockTicks = 0;

  constructor(options: TickBufferOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#blockTicks + this.#ticks.length;
  }

  /** Adds a tick; receipt times must not fall. @returns Whether it was kept. */
  add(kind: TickKind, receivedUs: number, json: string): boolean {
    this.expire(receivedUs);
    if (this.count >= this.#options.countMax && !this.#makeRoom(kind)) {
      this.evictedCount++;
      return false;
    }
    this.#ticks.push({ kind, receivedUs, json });
    if (this.#options.compress && this.#ticks.length >= BLOCK_TICKS * 2) this.#seal();
    return true;
  }

  /** Ticks that are too old leave; a compressed block leaves as a whole. */
  expire(nowUs: number): void {
    const oldestUs = nowUs - this.#options.ageMaxUs;
    for (
      let block = this.#blocks[0];
      block !== undefined && block.lastUs < oldestUs;
      block = this.#blocks[0]
    ) {
      this.#dropBlock();
    }
    let gone = 0;
    while (gone < this.#ticks.length && (this.#ticks[gone]?.receivedUs ?? 0) < oldestUs) gone++;
    if (gone > 0) this.#ticks.splice(0, gone);
  }

  /** The newest `countMax` ticks received in [fromUs, toUs), oldest first, as JSON texts. */
  range(fromUs: number, toUs: number, countMax: number, kind?: TickKind): string[] {
    const found: string[] = [];
    const take = (tick: Tick) => {
      const fits = tick.receivedUs >= fromUs && tick.receivedUs < toUs;
      if (fits && (kind === undefined || tick.kind === kind)) found.push(tick.json);
    };
    for (let at = this.#ticks.length - 1; at >= 0 && found.length < countMax; at--) {
      const tick = this.#ticks[at];
      if (tick !== undefined) take(tick);
    }
    for (let at = this.#blocks.length - 1; at >= 0 && found.length < countMax; at--) {
      const block = this.#blocks[at];
      if (block === undefined || block.firstUs >= toUs || block.lastUs < fromUs) continue;
      for (const tick of ticksOf(block).reverse()) if (found.length < countMax) take(tick);
    }
    return found.reverse();
  }

  #makeRoom(kind: TickKind): boolean {
    switch (this.#options.strategy) {
      case "lifo":
      case "time_based":
        return false;
      case "fifo":
        this.evictedCount++;
        if (this.#blocks.length > 0) this.#dropBlock();
        else this.#ticks.shift();
        return true;
      case "priority": {
        const quote = this.#ticks.findIndex((tick) => tick.kind === "quote");
        if (quote === -1 && kind === "quote") return false;
        this.evictedCount++;
        this.#ticks.splice(Math.max(0, quote), 1);
        return true;
      }
    }
  }

  #seal(): void {
    const ticks = this.#ticks.splice(0, BLOCK_TICKS);
    const lines = ticks.map(({ kind, receivedUs, json }) => `${kind}\t${receivedUs}\t${json}`);
    this.#blocks.push({
      count: ticks.length,
      firstUs: ticks[0]?.receivedUs ?? 0,
      lastUs: ticks.at(-1)?.receivedUs ?? 0,
      bytes: Bun.zstdCompressSync(lines.join("\n"), { level: 1 }),
    });
    this.#blockTicks += ticks.length;
  }

  #dropBlock(): void {
    this.#blockTicks -= this.#blocks.shift()?.count ?? 0;
  }
}

function ticksOf({ bytes }: Block): Tick[] {
  return Bun.zstdDecompressSync(bytes).toString().split("\n").map((line) => {
    const [kind = "", receivedUs = "", json = ""] = line.split("\t");
    return { kind: kind === "trade" ? "trade" : "quote", receivedUs: Number(receivedUs), json };
  });
}
