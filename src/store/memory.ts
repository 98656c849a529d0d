/**
 * The store in memory: the contract in its plainest form. Tests compare the others with it; nothing survives
 * the process.
 */
import { type EventRow, eventRow, lastOfTopics } from "./event-rows.ts";
import type {
  CommitResult,
  Effects,
  LogPlace,
  LogPosition,
  Store,
  StoredAlert,
  WindowResult,
} from "./store.ts";
import { settleWindows } from "./window-rows.ts";

export class MemoryStore implements Store {
  readonly #origin: string;
  readonly #logs: string[] = [];
  readonly #positions = new Map<string, number>();
  readonly #checkpoints = new Map<string, Uint8Array>();
  /** In the order of commits. */
  readonly events: EventRow[] = [];
  readonly lastValues = new Map<string, EventRow>();
  readonly windows = new Map<string, WindowResult>();
  readonly alerts = new Map<string, StoredAlert>();

  constructor(origin: string) {
    this.#origin = origin;
  }

  async positions(consumer: string, places: readonly LogPlace[]): Promise<readonly LogPosition[]> {
    return places.map(({ lane, shard, startOffset }) => {
      const log = keyOf(this.#origin, lane, shard);
      if (!this.#logs.includes(log)) this.#logs.push(log);
      const logId = this.#logs.indexOf(log) + 1;
      const nextOffset = this.#positions.get(keyOf(consumer, logId)) ?? startOffset;
      this.#positions.set(keyOf(consumer, logId), nextOffset);
      return { logId, nextOffset };
    });
  }

  async commit(effects: Effects): Promise<CommitResult> {
    const { consumer, moves, events, windows = [], alerts = [], checkpoints = [] } = effects;
    const isRight = moves.every(({ logId, fromOffset }) =>
      this.#positions.get(keyOf(consumer, logId)) === fromOffset
    );
    if (!isRight) return "conflict";
    for (const { logId, nextOffset } of moves) this.#positions.set(keyOf(consumer, logId), nextOffset);
    if (events !== undefined) {
      for (let index = 0; index < events.count; index++) this.events.push(copyOf(eventRow(events, index)));
      for (const row of lastOfTopics(events)) {
        const known = this.lastValues.get(row.topic);
        if (known === undefined || row.receivedUs >= known.receivedUs) {
          this.lastValues.set(row.topic, copyOf(row));
        }
      }
    }
    const { withdrawn, rows } = settleWindows(windows);
    for (const { name, key, startUs, endUs } of withdrawn) {
      this.windows.delete(keyOf(name, key, startUs, endUs));
    }
    for (const window of rows) {
      this.windows.set(keyOf(window.name, window.key, window.startUs, window.endUs), window);
    }
    for (const alert of alerts) if (!this.alerts.has(alert.id)) this.alerts.set(alert.id, alert);
    for (const { name, state } of checkpoints) this.#checkpoints.set(keyOf(consumer, name), state.slice());
    return "committed";
  }

  async checkpoint(consumer: string, name: string): Promise<Uint8Array | undefined> {
    return this.#checkpoints.get(keyOf(consumer, name));
  }

  async pruneResults(windows: readonly string[], beforeUs: number): Promise<number> {
    const before = this.windows.size + this.alerts.size;
    for (const [id, { name, startUs }] of this.windows) {
      if (windows.includes(name) && startUs < beforeUs) this.windows.delete(id);
    }
    for (const [id, { raisedUs }] of this.alerts) if (raisedUs < beforeUs) this.alerts.delete(id);
    return before - this.windows.size - this.alerts.size;
  }

  async prune(beforeUs: number): Promise<number> {
    const kept = this.events.filter((row) => row.receivedUs >= beforeUs);
    const pruned = this.events.length - kept.length;
    this.events.splice(0, this.events.length, ...kept);
    return pruned;
  }

  async close(): Promise<void> {}
}

function copyOf(row: EventRow): EventRow {
  return { ...row, payload: row.payload.slice() };
}

function keyOf(...parts: readonly (string | number)[]): string {
  return JSON.stringify(parts);
}
