/**
 * One look a second at the whole engine, for everybody who watches: the history goes on when nobody does, so
 * that whoever opens the dashboard at night sees the minutes before. Main thread.
 */
import type { Alert } from "../process/alerts/alert.ts";
import type { Counts } from "../metrics/snapshot.ts";
import type { EngineView } from "./engine-view.ts";
import { type LiveColumn, LiveColumns } from "./live-columns.ts";
import { LiveHistory } from "./live-history.ts";
import { judge, type LiveState } from "./live-state.ts";

export const LIVE_INTERVAL_MS = 1_000;
/** What happened in so many looks is told as a reason of the present state. */
const REASON_LOOKS = 10;

/** Who watches. */
export interface Viewer {
  /** There is a new row, and the state may have changed. */
  look(): void;
  alert(alert: Alert): void;
  end(): void;
}

export class Live {
  readonly columns: readonly LiveColumn[];
  readonly history: LiveHistory;
  readonly #engine: EngineView;
  readonly #reader: LiveColumns;
  readonly #viewers = new Set<Viewer>();
  /** The last readings, oldest first. */
  readonly #readings: Counts[] = [];
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #stopListening: () => void;

  constructor(engine: EngineView) {
    this.#engine = engine;
    this.#reader = new LiveColumns(engine);
    this.columns = this.#reader.columns;
    this.history = new LiveHistory(this.columns.length);
    this.#look();
    this.#timer = setInterval(() => this.#look(), LIVE_INTERVAL_MS);
    this.#stopListening = engine.alerts.listen((alert) => {
      for (const viewer of this.#viewers) viewer.alert(alert);
    });
  }

  get viewerCount(): number {
    return this.#viewers.size;
  }

  add(viewer: Viewer): void {
    this.#viewers.add(viewer);
  }

  remove(viewer: Viewer): void {
    this.#viewers.delete(viewer);
  }

  state(): LiveState {
    const [before] = this.#readings;
    const now = this.#readings.at(-1);
    if (before === undefined || now === undefined) throw new RangeError("Nothing was read yet");
    const seconds = ((this.#readings.length - 1) * LIVE_INTERVAL_MS) / 1000;
    return judge(this.#engine, now, before, seconds);
  }

  /** Ends all streams. */
  close(): void {
    clearInterval(this.#timer);
    this.#stopListening();
    for (const viewer of [...this.#viewers]) viewer.end();
  }

  #look(): void {
    this.#readings.push(this.history.add((row) => this.#reader.read(row, Date.now())));
    if (this.#readings.length > REASON_LOOKS + 1) this.#readings.shift();
    for (const viewer of this.#viewers) viewer.look();
  }
}
