/** Keeps repeats of an alert back for a while, and counts them. keys ≤ KEYS_MAX; the oldest is forgotten. */

export const KEYS_MAX = 100_000;

interface Silence {
  untilUs: number;
  suppressed: number;
}

export class Cooldown {
  readonly #silences = new Map<string, Silence>();

  /**
   * Asks whether an alert may be raised now.
   *
   * @returns How many were kept back since the last one, or -1 when this one is kept back, too.
   */
  admit(name: string, cooldownMs: number, nowUs: number): number {
    // Shards are read side by side: a moment may lie before the last one, and must not be silenced by nothing.
    if (cooldownMs === 0) return 0;
    const silence = this.#silences.get(name);
    if (silence !== undefined && nowUs < silence.untilUs) {
      silence.suppressed++;
      return -1;
    }
    // Again at the end: the map's order is the order of the last alert.
    this.#silences.delete(name);
    if (this.#silences.size >= KEYS_MAX) {
      for (const oldest of this.#silences.keys()) {
        this.#silences.delete(oldest);
        break;
      }
    }
    this.#silences.set(name, { untilUs: nowUs + cooldownMs * 1000, suppressed: 0 });
    return silence?.suppressed ?? 0;
  }

  save(): unknown {
    return [...this.#silences];
  }

  load(saved: unknown): void {
    for (const [name, silence] of saved as [string, Silence][]) this.#silences.set(name, silence);
  }
}
