/** At most so many messages (or so much weight) in any window of time: venues ban clients that send more. */
export class SendBudget {
  readonly #max: number;
  readonly #windowMs: number;
  /** What was sent within the window, oldest first; at most `max` entries of weight 1 or more. */
  readonly #sent: { atMs: number; weight: number }[] = [];
  #used = 0;

  constructor(max: number, windowMs: number) {
    this.#max = max;
    this.#windowMs = windowMs;
  }

  /** Takes the weight out of the budget, or answers `false` and takes nothing. A weight over the budget never fits. */
  take(nowMs: number, weight = 1): boolean {
    this.#forget(nowMs);
    if (this.#used + weight > this.#max) return false;
    this.#sent.push({ atMs: nowMs, weight });
    this.#used += weight;
    return true;
  }

  /** Weight still free now. */
  free(nowMs: number): number {
    this.#forget(nowMs);
    return this.#max - this.#used;
  }

  #forget(nowMs: number): void {
    for (let oldest = this.#sent[0]; oldest !== undefined; oldest = this.#sent[0]) {
      if (nowMs - oldest.atMs < this.#windowMs) return;
      this.#used -= oldest.weight;
      this.#sent.shift();
    }
  }
}
