/** What `esc handlers new` writes. */

const TYPES_FILE = "./handler.d.ts";

/** A handler to begin with. */
export function newHandler(topics: string): string {
  return `import type { Handler } from ${JSON.stringify(TYPES_FILE)};

interface Order {
  readonly id: string;
  readonly amount: number;
}

/** Counts orders for each customer, and has somebody look at large ones. */
export default {
  topics: ${JSON.stringify(topics)},
  handle(event, context) {
    if (event.payload === null) return context.fail("The payload is no JSON");
    if (event.payload.amount > 1000) return context.alert("WARNING", \`Order of \${event.payload.amount}\`);
    const name = \`orders:\${event.key}\`;
    const count = Number(context.state.get(name) ?? 0) + 1;
    context.state.set(name, count);
    if (count % 100 === 0) context.publish("customers.loyal", { customer: event.key, orders: count });
  },
} satisfies Handler<Order>;
`;
}

/** Types of a handler, for editors and compilers: nothing of it exists at run time. */
export const HANDLER_TYPES = `/** Types of handlers for esc. Written by \`esc handlers new\`. */

/** A handler: the default export of a file. */
export interface Handler<Payload = unknown> {
  /** Topics and patterns (\`*\` one token, \`>\` the rest); a topic goes to the handler that names it most exactly. */
  readonly topics?: string | readonly string[];
  /** Time for one event, milliseconds (default 1000): a handler that takes longer is stopped. */
  readonly budgetMs?: number;
  /** Attempts before an event that throws becomes a dead letter (default 3). */
  readonly attempts?: number;
  /** Pause after the first failed attempt, milliseconds (default 10); it grows with each. */
  readonly pauseMs?: number;
  /**
   * Handles one event. Nothing returned: it is done. What it throws is tried again, and leaves no trace in
   * \`context.state\` or in what was published.
   */
  handle(event: Event<Payload>, context: Context): Result | Promise<Result>;
}

export interface Event<Payload = unknown> {
  readonly topic: string;
  /** Decoded JSON, with what rules have added; \`null\` when the payload is no JSON. */
  readonly payload: Payload | null;
  /** The payload as text, and as bytes. */
  readonly text: string;
  readonly bytes: Uint8Array;
  /** "" when there is none. */
  readonly key: string;
  /** Message id, "" when there is none. */
  readonly id: string;
  /** 0 BATCH, 1 LOW, 2 MEDIUM, 3 HIGH, 4 CRITICAL. */
  readonly priority: number;
  readonly headers: Readonly<Record<string, string>>;
  /** When it happened, or else when it was received. */
  readonly time: Date;
  /** When it was received, microseconds since the Unix epoch. */
  readonly receivedUs: number;
  /** Its place in the log. */
  readonly lane: string;
  readonly shard: number;
  readonly offset: number;
}

export interface Context {
  /** What the handler remembers, saved with the place up to which events were handled. */
  readonly state: State;
  /** Publishes an event when the one in hand is done. A payload that is no text is written as JSON. */
  publish(topic: string, payload: unknown, options?: { key?: string; priority?: number }): void;
  /** \`return context.alert("CRITICAL", "...")\`: done, and somebody should know. */
  alert(severity: Severity, message: string): Outcome;
  /** \`return context.drop()\`: of no interest; what it has published is dropped, too. */
  drop(): Outcome;
  /** \`return context.fail("...")\`: it cannot be handled, and becomes a dead letter at once. */
  fail(reason: string): Outcome;
}

/** Names with JSON values, at most 1 MiB of text in all. A value that was got is a copy: set it to change it. */
export interface State {
  readonly size: number;
  get(name: string): unknown;
  has(name: string): boolean;
  keys(): IterableIterator<string>;
  set(name: string, value: unknown): void;
  delete(name: string): boolean;
}

export type Severity = "INFO" | "WARNING" | "CRITICAL" | "EMERGENCY";

/** An event to publish. */
export interface Output {
  readonly topic: string;
  readonly payload: unknown;
  readonly key?: string;
  readonly priority?: number;
}

/** The same as JSON lines have it; \`context\` makes those that are common. */
export interface Outcome {
  readonly outcome?: "success" | "alert" | "drop" | "fail";
  readonly severity?: Severity;
  readonly message?: string;
  readonly reason?: string;
  readonly publish?: Output | readonly Output[];
}

export type Result = Outcome | "success" | "drop" | void | undefined | null;
`;
