/**
 * A stream of orders for the drill of rules and windows, and what has to come of it: the plainest computation over
 * the list of all events, whichever way the server was killed in between.
 */
import type { OutgoingEvent } from "../../src/event/encode.ts";
import type { Random } from "../support/seed.ts";

export const INPUT_TOPIC = "orders";
const START_US = 1_700_000_000_000_000;
const KEY_COUNT = 12;
/** Event time between one event and the next at most, and how far one may lie back. */
const STEP_US_MAX = 2_000;
const DISORDER_US_MAX = 100_000;
const TUMBLING_US = 100_000;
const HOPPING_US = 200_000;
const EVERY_US = 50_000;
const GAP_US = 15_000;
const LARGE = 9_500;
const BURST = 25;
/** Enough keys that every shard gets one: they move time past the end of everything. */
const CLOSING_COUNT = 32;

export interface Order {
  readonly number: number;
  readonly key: string;
  readonly timeUs: number;
  readonly amount: number;
}

/** Rules and windows that depend on nothing but the events: time never goes on by the clock. */
export const PROCESSING_CONFIG = {
  lanes: { transactional: { shards: 2 } },
  // Small segments and frequent checkpoints: kills meet both.
  log: { segment_bytes: "4MiB" },
  processing: { start: "earliest", checkpoint_interval: "30ms" },
  rules: {
    large: {
      topics: INPUT_TOPIC,
      when: `payload.amount > ${LARGE}`,
      alert: { severity: "critical", message: "{payload.n}", cooldown: "0s" },
      publish: { topic: "large", payload: "payload.n" },
    },
    burst: {
      topics: INPUT_TOPIC,
      by: "key",
      rate: { count: BURST, within: "1h" },
      alert: { message: "{key}", cooldown: "0s" },
    },
  },
  windows: {
    tumbling: {
      topics: INPUT_TOPIC,
      by: "key",
      tumbling: `${TUMBLING_US / 1000}ms`,
      aggregates: {
        n: "count",
        sum: "sum(payload.amount)",
        min: "min(payload.amount)",
        max: "max(payload.amount)",
        orders: "distinct(payload.n)",
      },
      max_out_of_orderness: "2s",
      idle_timeout: "1h",
    },
    hopping: {
      topics: INPUT_TOPIC,
      hopping: { size: `${HOPPING_US / 1000}ms`, every: `${EVERY_US / 1000}ms` },
      aggregates: { sum: "sum(payload.amount)" },
      max_out_of_orderness: "2s",
      idle_timeout: "1h",
      emit: "update",
    },
    session: {
      topics: INPUT_TOPIC,
      by: "key",
      session: `${GAP_US / 1000}ms`,
      aggregates: { sum: "sum(payload.amount)" },
      max_out_of_orderness: "2s",
      idle_timeout: "1h",
      emit: "update",
    },
  },
} as const;

/** What each window's rows come to: `key start end` → what a row shows. */
export type Rows = Map<string, string>;

/** Makes the orders, one after the other, and keeps them. */
export class OrderFeed {
  readonly orders: Order[] = [];
  readonly #random: Random;
  #nowUs = START_US;

  constructor(random: Random) {
    this.#random = random;
  }

  next(): OutgoingEvent {
    const random = this.#random;
    this.#nowUs += random.below(STEP_US_MAX);
    const order: Order = {
      number: this.orders.length + 1,
      key: `k${random.below(KEY_COUNT)}`,
      timeUs: this.#nowUs - random.below(DISORDER_US_MAX),
      amount: random.below(10_000),
    };
    this.orders.push(order);
    return {
      topic: INPUT_TOPIC,
      priority: 2,
      payload: JSON.stringify({ n: order.number, amount: order.amount }),
      id: `o-${order.number}`,
      key: order.key,
      timeUs: order.timeUs,
    };
  }

  /** Events that end all windows before them, and open one of their own that nobody ends. */
  closing(): OutgoingEvent[] {
    const timeUs = this.#nowUs + 86_400_000_000;
    return Array.from({ length: CLOSING_COUNT }, (_, number) => ({
      topic: INPUT_TOPIC,
      priority: 2,
      payload: JSON.stringify({ n: 0, amount: 0 }),
      id: `end-${number}`,
      key: `end-${number}`,
      timeUs,
    }));
  }

  /** Event time that the closing events lie behind. */
  get endUs(): number {
    return this.#nowUs + 3_600_000_000;
  }

  get tumbling(): Rows {
    const groups = this.#grouped(({ key, timeUs }) => {
      const startUs = Math.floor(timeUs / TUMBLING_US) * TUMBLING_US;
      return [`${key} ${startUs} ${startUs + TUMBLING_US}`];
    });
    return rowsOf(groups, (orders) => {
      const amounts = orders.map(({ amount }) => amount);
      return [orders.length, sumOf(orders), Math.min(...amounts), Math.max(...amounts), orders.length];
    });
  }

  get hopping(): Rows {
    const groups = this.#grouped(({ timeUs }) => {
      const names: string[] = [];
      const newest = Math.floor(timeUs / EVERY_US) * EVERY_US;
      for (let startUs = newest; startUs > timeUs - HOPPING_US; startUs -= EVERY_US) {
        names.push(` ${startUs} ${startUs + HOPPING_US}`);
      }
      return names;
    });
    return rowsOf(groups, (orders) => [orders.length, sumOf(orders)]);
  }

  get sessions(): Rows {
    const rows: Rows = new Map();
    for (const key of new Set(this.orders.map((order) => order.key))) {
      const own = this.orders.filter((order) => order.key === key).sort((a, b) => a.timeUs - b.timeUs);
      let session: Order[] = [];
      for (const [index, order] of own.entries()) {
        session.push(order);
        const next = own[index + 1];
        if (next !== undefined && next.timeUs - order.timeUs < GAP_US) continue;
        const name = `${key} ${session[0]?.timeUs} ${order.timeUs + GAP_US}`;
        rows.set(name, JSON.stringify([session.length, sumOf(session)]));
        session = [];
      }
    }
    return rows;
  }

  /** Numbers of the orders that the rule `large` fires for. */
  get large(): string[] {
    return this.orders.filter(({ amount }) => amount > LARGE).map(({ number }) => String(number)).sort();
  }

  /** How often the rule `burst` fires for each key. */
  get bursts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { key } of this.orders) counts.set(key, (counts.get(key) ?? 0) + 1);
    const fired = [...counts].map(([key, count]) => [key, Math.floor(count / BURST)] as const);
    return new Map(fired.filter(([, count]) => count > 0));
  }

  #grouped(windowsOf: (order: Order) => string[]): Map<string, Order[]> {
    const groups = new Map<string, Order[]>();
    for (const order of this.orders) {
      for (const name of windowsOf(order)) {
        const group = groups.get(name);
        if (group === undefined) groups.set(name, [order]);
        else group.push(order);
      }
    }
    return groups;
  }
}

function sumOf(orders: readonly Order[]): number {
  return orders.reduce((sum, { amount }) => sum + amount, 0);
}

function rowsOf(groups: Map<string, Order[]>, row: (orders: readonly Order[]) => number[]): Rows {
  return new Map([...groups].map(([name, orders]) => [name, JSON.stringify(row(orders))]));
}
