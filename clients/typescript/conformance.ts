/**
 * Runs `clients/conformance.json` with this client: `conformance.js FILE WORLD` prints the results as JSON.
 *
 * WORLD is JSON: where the servers are, see `World`. Results are compared by who starts this. The line
 * `restart NAME` asks for a server to be killed and started; a line on stdin says that it is up again.
 */
import { Client, type Dial, dialWebSocket, encodeFrame, EscError, EventCursor, eventProblem } from "./esc.ts";
import type { DecodedEvent, EventStream, OutgoingEvent, ReceivedEvent, StartAt } from "./esc.ts";

/** Where the servers of the scenarios are, and how to reach them. */
export interface World {
  /** Takes the place of `{run}` in names, so that runs do not meet. */
  readonly run: string;
  readonly transport: "tcp" | "websocket";
  readonly servers: Readonly<Record<string, ServerPlace>>;
  readonly tokens: Readonly<Record<string, string>>;
}

interface ServerPlace {
  /** `host:port` */
  readonly tcp: string;
  readonly http: string;
  /** PEM of the authority; present: the server speaks TLS. */
  readonly ca?: string;
}

export interface Conformance {
  readonly encode: readonly { name: string; event: WrittenEvent; max_frame_bytes?: number }[];
  readonly decode: readonly { name: string; hex: string }[];
  readonly live: readonly Scenario[];
}

interface Scenario {
  readonly name: string;
  readonly server: string;
  /** Absent: every transport. */
  readonly transport?: string;
  readonly steps: readonly Step[];
}

/** An event as the file writes it. */
interface WrittenEvent {
  readonly topic: string;
  readonly priority?: number;
  readonly payload?: string;
  readonly payload_hex?: string;
  /** Text repeated so many times. */
  readonly payload_times?: number;
  readonly topic_times?: number;
  readonly id?: string;
  readonly time_us?: number;
  readonly key?: string;
  /** Name, value, and how many times the value is repeated. */
  readonly headers?: readonly (readonly [string, string, number?])[];
  readonly crc?: boolean;
}

interface Step {
  readonly do: string;
  readonly client?: string;
  readonly acks?: "none" | "accepted" | "durable";
  readonly token?: string;
  readonly reconnect?: boolean;
  readonly in_flight?: number;
  readonly event?: WrittenEvent;
  readonly topic?: string;
  readonly priority?: number;
  readonly first?: number;
  readonly count?: number;
  readonly ids?: string;
  readonly show?: readonly string[];
  readonly topics?: readonly string[];
  readonly from?: string | {
    time_us?: number;
    after_last?: true;
    offsets?: Record<string, number>;
    others?: string;
  };
  readonly consumer?: string;
  readonly max_in_flight?: number;
  readonly until?: string;
  readonly confirm?: boolean;
}

/** One client of a scenario, and what it has seen. */
interface Actor {
  readonly client: Client;
  readonly refused: (readonly [code: string, seq: number])[];
  stream?: EventStream;
}

/** A server that is killed and started again while a scenario goes on. */
export interface Restart {
  /** Asks for it, and does not wait. */
  ask(server: string): void;
  /** Settles when the server is up again. */
  done(): Promise<unknown>;
}

/** Runs everything that `world` has a server for. */
export async function runConformance(
  file: Conformance,
  world: World,
  restart: Restart,
): Promise<Record<string, unknown>> {
  const results: Record<string, unknown> = {};
  for (const { name, event, max_frame_bytes } of file.encode) {
    results[`encode: ${name}`] = encoded(eventOf(event), max_frame_bytes ?? 1 << 20);
  }
  for (const { name, hex } of file.decode) results[`decode: ${name}`] = decoded(bytesOf(hex));
  for (const scenario of file.live) {
    if (world.servers[scenario.server] === undefined) continue;
    if (scenario.transport !== undefined && scenario.transport !== world.transport) continue;
    results[`live: ${scenario.name}`] = await new Play(scenario, world, restart).run();
  }
  return results;
}

function encoded(event: OutgoingEvent, bodyBytesMax: number): string {
  return eventProblem(event, bodyBytesMax) === undefined ? shortHex(encodeFrame(event)) : "refused";
}

/** A long frame is shown by its length and its ends. */
function shortHex(bytes: Uint8Array): string {
  if (bytes.length <= 2048) return hexOf(bytes);
  return `${bytes.length}: ${hexOf(bytes.slice(0, 16))}..${hexOf(bytes.slice(-16))}`;
}

function decoded(payload: Uint8Array): unknown {
  const cursor = new EventCursor();
  try {
    const subscription = cursor.open(payload, 0, payload.length);
    const events: unknown[] = [];
    while (cursor.next()) {
      const { lane, shard, offset, receivedUs } = cursor;
      events.push({ lane, shard, offset, received_us: receivedUs, ...fieldsOf(cursor.decode()) });
    }
    return { subscription, events };
  } catch (error) {
    if (error instanceof EscError) return "refused";
    throw error;
  }
}

function fieldsOf({ payload, timeUs, headers, ...event }: DecodedEvent): object {
  return {
    ...event,
    payload_hex: hexOf(payload),
    ...(timeUs === undefined ? {} : { time_us: timeUs }),
    ...(headers.length === 0 ? {} : { headers }),
  };
}

/** One scenario on its way. */
class Play {
  readonly #scenario: Scenario;
  readonly #world: World;
  readonly #restart: Restart;
  readonly #actors = new Map<string, Actor>();
  #lastReceivedUs = 0;

  constructor(scenario: Scenario, world: World, restart: Restart) {
    this.#scenario = scenario;
    this.#world = world;
    this.#restart = restart;
  }

  /** @returns What the steps have to say, in their order. */
  async run(): Promise<readonly unknown[]> {
    const said: unknown[] = [];
    try {
      for (const step of this.#scenario.steps) {
        const result = await this.#take(step).catch((error: unknown) => {
          if (error instanceof EscError) return { error: error.code };
          throw error;
        });
        if (result !== undefined) said.push(result);
      }
    } finally {
      for (const { client } of this.#actors.values()) client.abort();
    }
    return said;
  }

  async #take(step: Step): Promise<unknown> {
    if (step.do === "connect") return await this.#connect(step);
    if (step.do === "restart") return this.#restart.ask(this.#scenario.server);
    if (step.do === "restarted") return void await this.#restart.done();
    const actor = this.#actors.get(step.client ?? "a");
    if (actor === undefined) throw new EscError("USAGE", `No client for ${step.do}`);
    const { client } = actor;
    switch (step.do) {
      case "publish":
        return void await this.#publish(client, step);
      case "event":
        return void await client.publish(eventOf(this.#named(step.event ?? { topic: "" })));
      case "flush":
        await client.flush();
        return this.#account(client, step.show ?? ["answered", "refused"]);
      case "refusals":
        return actor.refused;
      case "subscribe":
        return void (actor.stream = await this.#subscribe(client, step));
      case "collect":
        return await this.#collect(actor, step);
      case "close":
        return void await client.close();
      default:
        throw new EscError("USAGE", `Unknown step ${step.do}`);
    }
  }

  async #connect(step: Step): Promise<string> {
    const refused: (readonly [string, number])[] = [];
    const token = step.token === undefined ? undefined : this.#world.tokens[step.token];
    const client = await Client.connect({
      dial: await this.#dial(token),
      token,
      acks: step.acks ?? "durable",
      countDuplicates: true,
      ...(step.in_flight === undefined ? {} : { inFlightMax: step.in_flight }),
      ...(step.reconnect === true ? { reconnect: { delayMs: 20, delayMsMax: 200 } } : {}),
      onRefused: ({ code, seq, count }) => {
        for (let at = seq; at < seq + count; at++) refused.push([code, at]);
      },
    });
    this.#actors.set(step.client ?? "a", { client, refused });
    return "connected";
  }

  async #dial(token: string | undefined): Promise<Dial> {
    const place = this.#world.servers[this.#scenario.server];
    if (place === undefined) throw new EscError("USAGE", `No server ${this.#scenario.server}`);
    if (this.#world.transport === "websocket") return dialWebSocket({ url: place.http, token });
    const { dialTcp } = await import("./tcp.ts");
    const colon = place.tcp.lastIndexOf(":");
    const address = { host: place.tcp.slice(0, colon), port: Number(place.tcp.slice(colon + 1)) };
    return dialTcp(place.ca === undefined ? address : { ...address, tls: { ca: place.ca } });
  }

  async #publish(client: Client, step: Step): Promise<void> {
    const { topic = "", priority = 2, first = 1, count = 1, ids } = step;
    for (let number = first; number < first + count; number++) {
      await client.publish({
        topic: this.#text(topic),
        priority,
        payload: String(number),
        ...(ids === undefined ? {} : { id: `${this.#text(ids)}${number}` }),
      });
    }
  }

  #account({ publisher }: Client, show: readonly string[]): Record<string, number> {
    const all: Record<string, number> = {
      answered: publisher.answeredCount,
      refused: publisher.refusedCount,
      duplicates: publisher.duplicateCount,
    };
    return Object.fromEntries(show.map((name) => [name, all[name] ?? -1]));
  }

  async #subscribe(client: Client, step: Step): Promise<EventStream> {
    return await client.events({
      topics: (step.topics ?? []).map((topic) => this.#text(topic)),
      from: this.#start(step.from ?? "earliest"),
      ...(step.consumer === undefined ? {} : { consumer: this.#text(step.consumer) }),
      ...(step.max_in_flight === undefined ? {} : { maxInFlight: step.max_in_flight }),
    });
  }

  #start(from: Exclude<Step["from"], undefined>): StartAt {
    if (from === "earliest" || from === "latest") return from;
    if (typeof from === "string") throw new EscError("USAGE", `Unknown start ${from}`);
    if (from.offsets !== undefined) {
      return {
        offsets: from.offsets,
        ...(from.others === "earliest" || from.others === "latest" ? { others: from.others } : {}),
      };
    }
    return { timeUs: from.after_last === true ? this.#lastReceivedUs + 1 : from.time_us ?? 0 };
  }

  /** Takes events until one has the payload `until`, or `count` of them. @returns Their payloads, in short. */
  async #collect({ stream }: Actor, { until, count = Infinity, confirm }: Step): Promise<unknown> {
    if (stream === undefined) throw new EscError("USAGE", "No subscription");
    const payloads: string[] = [];
    while (payloads.length < count) {
      const { value, done } = await stream.next();
      if (done === true) break;
      const event: ReceivedEvent = value;
      this.#lastReceivedUs = event.receivedUs;
      const payload = new TextDecoder().decode(event.payload);
      if (payload === until) break;
      payloads.push(payload);
    }
    if (confirm === true) stream.confirm();
    return inShort(payloads);
  }

  #named(event: WrittenEvent): WrittenEvent {
    return { ...event, topic: this.#text(event.topic), ...(event.id ? { id: this.#text(event.id) } : {}) };
  }

  #text(text: string): string {
    return text.replaceAll("{run}", this.#world.run);
  }
}

/** `1..5` for consecutive numbers: `["1..5", "7", "x"]`. */
function inShort(payloads: readonly string[]): string {
  const parts: string[] = [];
  for (let at = 0; at < payloads.length;) {
    const first = payloads[at] ?? "";
    let end = at + 1;
    while (end < payloads.length && payloads[end] === String(Number(first) + end - at)) end++;
    parts.push(end - at > 1 ? `${first}..${payloads[end - 1]}` : first);
    at = end;
  }
  return parts.join(" ");
}

function eventOf(written: WrittenEvent): OutgoingEvent {
  const { payload = "", payload_hex, payload_times = 1, topic_times = 1, time_us, headers, ...event } =
    written;
  return {
    ...event,
    topic: event.topic.repeat(topic_times),
    payload: payload_hex === undefined ? payload.repeat(payload_times) : bytesOf(payload_hex),
    ...(time_us === undefined ? {} : { timeUs: time_us }),
    ...(headers === undefined ? {} : {
      headers: headers.map(([name, value, times = 1]) => [name, value.repeat(times)] as const),
    }),
  };
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** As a program of Node, Deno or Bun. */
async function main(): Promise<void> {
  const { readFileSync } = await import("node:fs");
  const { createInterface } = await import("node:readline");
  const process = await import("node:process");
  const [, , file = "", world = ""] = process.argv;
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const results = await runConformance(
    JSON.parse(readFileSync(file, "utf8")),
    JSON.parse(world),
    {
      ask: (server) => void process.stdout.write(`restart ${server}\n`),
      done: () => lines.next(),
    },
  );
  // A line that is still waited for would keep the program.
  process.stdout.write(`${JSON.stringify(results)}\n`, () => process.exit(0));
}

if (typeof document === "undefined") await main();
