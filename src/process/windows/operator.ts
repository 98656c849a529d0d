/**
 * One configured window at work: events go in with their event time, results come out as time goes on.
 *
 *     add → panes of the key → watermark passes the end → result → lateness over → forgotten
 *
 * An event that comes after the end is a correction as long as the pane is kept; later it is late. The operator
 * is pure: what it has seen, in which order, with which clock, decides all it does, so its saved state and the
 * events behind it give the same results again. Processor thread only. open keys ≤ keysMax
 */
import { type Aggregate, openAggregates, type Value } from "./aggregates.ts";
import { Pane, type SavedPane, type Span } from "./pane.ts";
import type { WindowSpec } from "./spec.ts";
import { Timers } from "./timers.ts";
import { Watermark } from "./watermark.ts";

/** What a window came to. Another one of the same window and key, with a higher revision, replaces it. */
export interface PaneResult {
  readonly window: string;
  readonly key: string;
  readonly startUs: number;
  readonly endUs: number;
  /** From 1. */
  readonly revision: number;
  /** Whether the window's end has passed. */
  readonly isClosed: boolean;
  readonly count: number;
  readonly values: Readonly<Record<string, unknown>>;
  /** Spans of earlier results of the key that this one takes the place of: a session that has grown. */
  readonly replaces: readonly Span[];
}

/** What became of an event. */
export type Added = "added" | "late" | "over_limit";

const NOTHING: readonly Span[] = [];

export class WindowOperator {
  readonly spec: WindowSpec;
  readonly aggregates: readonly Aggregate[];
  lateCount = 0;
  overLimitCount = 0;
  readonly #emit: (result: PaneResult) => void;
  readonly #watermark: Watermark;
  readonly #lateUs: number;
  /** Open panes of each key, by start. */
  readonly #keys = new Map<string, Pane[]>();
  readonly #timers = new Timers<Pane>();
  /** Results told for keys whose window by count is full: their numbers go on. ≤ keysMax, the oldest go first. */
  readonly #told = new Map<string, number>();
  /** Panes that have changed, with `update` and `interval`, and corrections. */
  readonly #dirty = new Set<Pane>();
  /** The next result by the clock, with `interval`. */
  #tellAtUs = -Infinity;

  /** @param emit Takes a result; called inside `add()`, `pass()` and `flush()`. */
  constructor(spec: WindowSpec, emit: (result: PaneResult) => void) {
    this.spec = spec;
    this.aggregates = openAggregates(spec.aggregates);
    this.#emit = emit;
    this.#watermark = new Watermark(spec.outOfOrderMs, spec.idleMs);
    this.#lateUs = spec.lateMs * 1000;
  }

  get watermarkUs(): number {
    return this.#watermark.us;
  }

  get keyCount(): number {
    return this.#keys.size;
  }

  /**
   * Takes an event in.
   *
   * @param values One for each aggregate; `undefined` where the event has none. Not kept.
   * @param nowUs By the clock, for idle shards.
   */
  add(
    shard: number,
    timeUs: number,
    key: string,
    values: readonly (Value | undefined)[],
    nowUs: number,
  ): Added {
    const added = this.#place(timeUs, key, values);
    if (added === "late") this.lateCount++;
    else if (added === "over_limit") this.overLimitCount++;
    if (this.#watermark.see(shard, timeUs, nowUs)) this.#advance();
    return added;
  }

  /** Time has passed; all events that came before `nowUs` were added. */
  pass(nowUs: number): void {
    if (this.#watermark.pass(nowUs)) this.#advance();
  }

  /** Tells what has changed, as far as the window is to tell it now. */
  flush(nowUs: number): void {
    if (this.#dirty.size === 0) return;
    if (this.spec.emit === "interval") {
      if (nowUs < this.#tellAtUs) return;
      this.#tellAtUs = nowUs + this.spec.intervalMs * 1000;
    }
    for (const pane of this.#dirty) this.#tell(pane);
    this.#dirty.clear();
  }

  /** When, by the clock, `pass()` or `flush()` is next of use; Infinity: never. */
  get dueUs(): number {
    const closing = this.#watermark.dueUs(this.#timers.nextUs);
    return this.spec.emit === "interval" && this.#dirty.size > 0
      ? Math.min(closing, this.#tellAtUs)
      : closing;
  }

  /** All that is remembered, as JSON takes it. */
  save(): unknown {
    const panes: SavedPane[] = [];
    for (const list of this.#keys.values()) for (const pane of list) panes.push(pane.save());
    return { watermark: this.#watermark.save(), panes, told: [...this.#told] };
  }

  /** Goes on from what `save()` gave. The window must have the same aggregates. */
  load(saved: unknown, nowUs: number): void {
    const { watermark, panes, told } = saved as {
      watermark: unknown;
      panes: readonly SavedPane[];
      told?: readonly (readonly [key: string, revision: number])[];
    };
    this.#told.clear();
    for (const [key, revision] of told ?? []) this.#told.set(key, revision);
    this.#watermark.load(watermark, nowUs);
    this.#keys.clear();
    this.#timers.clear();
    this.#dirty.clear();
    for (const state of panes) {
      const pane = Pane.restore(state, this.aggregates);
      const list = this.#keys.get(pane.key);
      if (list === undefined) this.#keys.set(pane.key, [pane]);
      else list.push(pane);
      if (pane.isDirty && (pane.isClosed || this.spec.emit !== "close")) this.#dirty.add(pane);
      if (this.spec.shape.kind !== "count") {
        this.#timers.add(pane.isClosed ? pane.endUs + this.#lateUs : pane.endUs, pane);
      }
    }
  }

  #place(timeUs: number, key: string, values: readonly (Value | undefined)[]): Added {
    let panes = this.#keys.get(key);
    if (panes === undefined) {
      if (this.#keys.size >= this.spec.keysMax) return "over_limit";
      panes = [];
    }
    const isPlaced = this.#placeIn(panes, timeUs, key, values);
    if (panes.length > 0 && !this.#keys.has(key)) this.#keys.set(key, panes);
    return isPlaced ? "added" : "late";
  }

  #placeIn(panes: Pane[], timeUs: number, key: string, values: readonly (Value | undefined)[]): boolean {
    const { shape } = this.spec;
    switch (shape.kind) {
      case "tumbling": {
        const sizeUs = shape.sizeMs * 1000;
        const startUs = Math.floor(timeUs / sizeUs) * sizeUs;
        return this.#addTo(panes, startUs, startUs + sizeUs, timeUs, key, values);
      }
      case "hopping": {
        const sizeUs = shape.sizeMs * 1000;
        const everyUs = shape.everyMs * 1000;
        let isPlaced = false;
        const newest = Math.floor(timeUs / everyUs) * everyUs;
        for (let startUs = newest; startUs > timeUs - sizeUs; startUs -= everyUs) {
          if (this.#addTo(panes, startUs, startUs + sizeUs, timeUs, key, values)) isPlaced = true;
        }
        return isPlaced;
      }
      case "session":
        return this.#addToSession(panes, timeUs, key, values, shape.gapMs * 1000);
      case "count":
        this.#addToCount(panes, timeUs, key, values, shape.count);
        return true;
    }
  }

  #addTo(
    panes: Pane[],
    startUs: number,
    endUs: number,
    timeUs: number,
    key: string,
    values: readonly (Value | undefined)[],
  ): boolean {
    for (let index = panes.length - 1; index >= 0; index--) {
      const pane = panes[index] as Pane;
      if (pane.startUs !== startUs) continue;
      this.#note(pane, timeUs, values);
      return true;
    }
    if (endUs + this.#lateUs <= this.#watermark.us) return false;
    const pane = this.#open(panes, key, startUs, endUs);
    this.#note(pane, timeUs, values);
    return true;
  }

  #addToSession(
    panes: Pane[],
    timeUs: number,
    key: string,
    values: readonly (Value | undefined)[],
    gapUs: number,
  ): boolean {
    const endUs = timeUs + gapUs;
    let session: Pane | undefined;
    for (let index = panes.length - 1; index >= 0; index--) {
      const pane = panes[index] as Pane;
      if (timeUs >= pane.endUs || endUs <= pane.startUs) continue;
      if (session === undefined) {
        session = pane;
        continue;
      }
      // The event closes the gap between two sessions: the older one is taken in.
      panes.splice(index, 1);
      this.#join(session, pane);
    }
    if (session === undefined) {
      if (endUs + this.#lateUs <= this.#watermark.us) return false;
      session = this.#open(panes, key, timeUs, endUs);
    }
    if (timeUs < session.startUs) session.startUs = timeUs;
    if (endUs > session.endUs) session.endUs = endUs;
    if (session.isClosed && session.endUs > this.#watermark.us) {
      // What was told is not the end of it after all.
      session.isClosed = false;
      this.#dirty.delete(session);
      this.#timers.add(session.endUs, session);
    }
    this.#note(session, timeUs, values);
    return true;
  }

  #join(into: Pane, from: Pane): void {
    from.isGone = true;
    this.#dirty.delete(from);
    into.startUs = Math.min(into.startUs, from.startUs);
    into.endUs = Math.max(into.endUs, from.endUs);
    into.count += from.count;
    into.revision = Math.max(into.revision, from.revision);
    if (from.told !== undefined) into.told = [...into.told ?? [], ...from.told];
    into.isDirty = true;
    for (const aggregate of this.aggregates) aggregate.merge(into, from);
  }

  #addToCount(
    panes: Pane[],
    timeUs: number,
    key: string,
    values: readonly (Value | undefined)[],
    countMax: number,
  ): void {
    let pane = panes[0];
    if (pane === undefined) {
      pane = new Pane(key, timeUs, timeUs, this.aggregates);
      // Results of one key are told apart by their number.
      pane.revision = this.#told.get(key) ?? 0;
      panes.push(pane);
    }
    if (timeUs < pane.startUs) pane.startUs = timeUs;
    if (timeUs > pane.endUs) pane.endUs = timeUs;
    this.#note(pane, timeUs, values);
    if (pane.count < countMax) return;
    pane.isClosed = true;
    this.#dirty.delete(pane);
    this.#tell(pane);
    panes.length = 0;
    this.#keys.delete(key);
    this.#told.delete(key);
    if (this.#told.size >= this.spec.keysMax) {
      for (const oldest of this.#told.keys()) {
        this.#told.delete(oldest);
        break;
      }
    }
    this.#told.set(key, pane.revision);
  }

  #open(panes: Pane[], key: string, startUs: number, endUs: number): Pane {
    const pane = new Pane(key, startUs, endUs, this.aggregates);
    pane.isClosed = endUs <= this.#watermark.us;
    panes.push(pane);
    this.#timers.add(pane.isClosed ? endUs + this.#lateUs : endUs, pane);
    return pane;
  }

  #note(pane: Pane, timeUs: number, values: readonly (Value | undefined)[]): void {
    pane.count++;
    pane.isDirty = true;
    const { aggregates } = this;
    for (let index = 0; index < aggregates.length; index++) {
      const value = values[index];
      if (value !== undefined) (aggregates[index] as Aggregate).add(pane, value, timeUs);
    }
    if (pane.isClosed || this.spec.emit !== "close") this.#dirty.add(pane);
  }

  /** Does what is due at the new watermark. */
  #advance(): void {
    while (this.#timers.nextUs <= this.#watermark.us) {
      for (const pane of this.#timers.take()) this.#timer(pane);
    }
  }

  #timer(pane: Pane): void {
    if (pane.isGone) return;
    const watermarkUs = this.#watermark.us;
    if (pane.endUs > watermarkUs) {
      // A session that has grown since.
      pane.isClosed = false;
      this.#timers.add(pane.endUs, pane);
      return;
    }
    // Who has been told all along is told also that this is the end.
    const isEnd = !pane.isClosed;
    pane.isClosed = true;
    if (pane.isDirty || isEnd) this.#tell(pane);
    this.#dirty.delete(pane);
    const forgetUs = pane.endUs + this.#lateUs;
    if (forgetUs > watermarkUs) this.#timers.add(forgetUs, pane);
    else this.#forget(pane);
  }

  #forget(pane: Pane): void {
    pane.isGone = true;
    const panes = this.#keys.get(pane.key);
    if (panes === undefined) return;
    const index = panes.indexOf(pane);
    if (index >= 0) panes.splice(index, 1);
    if (panes.length === 0) this.#keys.delete(pane.key);
  }

  #tell(pane: Pane): void {
    pane.isDirty = false;
    pane.revision++;
    const values: Record<string, unknown> = {};
    for (const aggregate of this.aggregates) values[aggregate.name] = aggregate.result(pane);
    const { key, startUs, endUs, revision, count } = pane;
    let replaces = NOTHING;
    if (this.spec.shape.kind === "session" || this.spec.shape.kind === "count") {
      replaces = (pane.told ?? NOTHING).filter((span) => span.startUs !== startUs || span.endUs !== endUs);
      pane.told = [{ startUs, endUs }];
    }
    this.#emit({
      window: this.spec.name,
      key,
      startUs,
      endUs,
      revision,
      isClosed: pane.isClosed,
      count,
      values,
      replaces,
    });
  }
}
