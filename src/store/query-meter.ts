/** How many queries there were, how many failed, and how long they took. One thread. */
import { Histogram } from "../metrics/histogram.ts";

export class QueryMeter {
  /** Queries that ended, well or not. */
  count = 0;
  errors = 0;
  readonly durations = Histogram.empty();

  /** Runs a query and counts it. */
  async measure<T>(query: () => Promise<T>): Promise<T> {
    const startMs = performance.now();
    try {
      return await query();
    } catch (error) {
      this.errors++;
      throw error;
    } finally {
      this.count++;
      this.durations.record(Math.round((performance.now() - startMs) * 1000), 1);
    }
  }
}
