/**
 * What processing gives out: events on topics, alerts, rows for the store.
 *
 * Each output has an id that follows from what caused it, so that one given out again after a crash is stored once. An
 * event that an output is derived from passes on how often it was derived itself: rules that feed each other in a
 * circle are noticed by that. Processor thread only.
 */
import { encodeFrame, eventProblem, type OutgoingEvent } from "../event/encode.ts";
import { PRIORITY_MEDIUM } from "../event/frame.ts";
import type { StoredAlert, WindowResult } from "../store/store.ts";
import { AlertDesk, type AlertHost, type AlertsSpec } from "./alerts/desk.ts";
import { alertRow, windowRow } from "./effects.ts";
import type { Outcome } from "./handlers/outcome.ts";
import { Outbox } from "./outbox.ts";
import type { EventRecord } from "./rules/event-facts.ts";
import { type EventFacts, plain } from "./rules/expression.ts";
import type { Firing } from "./rules/rule.ts";
import type { PaneResult } from "./windows/operator.ts";
import type { Span } from "./windows/pane.ts";
import type { WindowSpec } from "./windows/spec.ts";

/** Header that counts how often an event was derived from another by rules. */
const HOPS = "esc-hops";
/** Silence after an alert of a handler for the same topic. */
const HANDLER_COOLDOWN_MS = 10_000;

export interface OutputsSpec {
  readonly alerts: AlertsSpec;
  readonly maxFrameBytes: number;
}

export class Outputs {
  readonly outbox = new Outbox();
  readonly desk: AlertDesk;
  /** Outputs that are no events: a topic too long, a payload too large. */
  badCount = 0;
  readonly #spec: OutputsSpec;
  readonly #report: (problem: string) => void;
  #results: WindowResult[] = [];
  /** How often the event in hand was derived from another. */
  #hops = 0;

  constructor(spec: OutputsSpec, host: Pick<AlertHost, "tell" | "report">) {
    this.#spec = spec;
    this.#report = host.report;
    this.desk = new AlertDesk(spec.alerts, {
      tell: host.tell,
      report: host.report,
      publish: (event) => this.publish(event, `alert:${event.topic}:${event.payload}`, false),
    });
  }

  /** What follows is caused by this event. @returns How often it was derived from another. */
  causedBy(event: EventRecord): number {
    return this.#hops = hopsOf(event);
  }

  /** What follows is caused by time alone. */
  causedByTime(): void {
    this.#hops = 0;
  }

  /** Whether there is something that only a commit brings out. */
  get wantsCommit(): boolean {
    return this.#results.length > 0 || this.desk.raisedCount > 0 || this.outbox.hasHeld;
  }

  /** Results and alerts since the last call. */
  takeEffects(): { readonly windows: readonly WindowResult[]; readonly alerts: readonly StoredAlert[] } {
    const windows = this.#results;
    this.#results = [];
    return { windows, alerts: this.desk.takeRaised().map(alertRow) };
  }

  /** Raises an alert of a rule or handler. */
  raise(firing: Firing, event: EventFacts): void {
    const { rule, alert, key, message, cause } = firing;
    const record = "lane" in event ? event as EventRecord : undefined;
    this.desk.raise({
      rule,
      alert,
      key,
      message,
      id: idOf(`alert:${cause}`),
      raisedUs: record?.receivedUs ?? Math.round(event.time.getTime() * 1000),
      source: record === undefined ? "" : `${record.lane}/${record.shard}/${record.offset}`,
      topic: event.topic,
      eventId: event.id,
      context: { priority: event.priority, payload: event.payload },
    });
  }

  /** Raises the alert and publishes the events that a handler's outcome asks for. */
  ofHandler(
    handler: string,
    event: EventRecord,
    outcome: Exclude<Outcome, { kind: "behind" | "fail" | "drop" }>,
  ): void {
    const place = `${event.lane}/${event.shard}/${event.offset}`;
    if (outcome.kind === "alert") {
      this.raise({
        rule: handler,
        alert: { severity: outcome.severity, message: "", cooldownMs: HANDLER_COOLDOWN_MS },
        key: event.topic,
        message: outcome.message,
        cause: `${handler}:${place}`,
      }, event);
    }
    for (const [index, { topic, payload, priority, key }] of (outcome.outputs ?? []).entries()) {
      this.publish(
        {
          topic,
          priority: priority ?? PRIORITY_MEDIUM,
          payload: typeof payload === "string" ? payload : JSON.stringify(payload ?? null),
          ...(key === undefined || key === "" ? {} : { key }),
        },
        `${handler}:${index}:${place}`,
        // Code of the user's may say something else the next time: what it said must be saved first.
        true,
      );
    }
  }

  /** Gives a window's result out: to the store with the next commit, and on its topic. */
  tell(window: WindowSpec, result: PaneResult): void {
    this.#results.push(windowRow(window, result));
    const { key, startUs, endUs, revision, isClosed, count, values, replaces } = result;
    const payload = {
      window: window.name,
      key,
      ...timesOf({ startUs, endUs }),
      revision,
      closed: isClosed,
      count,
      ...values,
      ...(replaces.length === 0 ? {} : { replaces: replaces.map(timesOf) }),
    };
    this.#hops = 0;
    this.publish(
      {
        topic: window.topic,
        priority: window.priority,
        payload: JSON.stringify(payload, plain),
        timeUs: endUs,
        ...(key === "" ? {} : { key }),
      },
      `window:${window.name}:${key}:${startUs}:${endUs}:${revision}`,
      true,
    );
  }

  /** Publishes an event that came too late for a window, where a topic is named for such. */
  late(event: EventRecord, window: string, topic: string | undefined): void {
    if (topic === undefined) return;
    const { key } = event;
    this.publish(
      {
        topic,
        priority: event.priority,
        payload: event.payloadBytes.slice(),
        timeUs: event.timeUs,
        headers: [["esc-window", window], ["esc-topic", event.topic]],
        ...(key === "" ? {} : { key }),
      },
      `late:${window}:${event.lane}/${event.shard}/${event.offset}`,
      // The clock has a say in what is late: after a crash it may be decided otherwise.
      true,
    );
  }

  /**
   * Publishes an event.
   *
   * @param cause What it follows from: the same cause gives the same message id.
   * @param isHeld Whether it may leave only after the next commit.
   */
  publish(event: OutgoingEvent, cause: string, isHeld: boolean): void {
    const hops: readonly [string, string] = [HOPS, String(this.#hops + 1)];
    const own = (event.headers ?? []).filter(([name]) => name !== HOPS);
    const whole: OutgoingEvent = { ...event, id: idOf(cause), headers: [...own, hops] };
    const problem = eventProblem(whole, this.#spec.maxFrameBytes);
    if (problem !== undefined) {
      this.badCount++;
      this.#report(`Cannot publish a result on "${event.topic.slice(0, 100)}": ${problem}`);
      return;
    }
    const frame = encodeFrame(whole);
    if (isHeld) this.outbox.hold(frame);
    else this.outbox.add(frame);
  }
}

function timesOf({ startUs, endUs }: Span): { start: string; end: string } {
  return { start: new Date(startUs / 1000).toISOString(), end: new Date(endUs / 1000).toISOString() };
}

/** A message id of 32 characters from what names an output. */
function idOf(cause: string): string {
  return new Bun.CryptoHasher("sha256").update(cause).digest("hex").slice(0, 32);
}

function hopsOf(event: EventRecord): number {
  // Almost no event carries headers, and then this costs a look at its head.
  const text = event.hasHeaders ? event.headers[HOPS] : undefined;
  const hops = text === undefined ? 0 : Number(text);
  return Number.isInteger(hops) && hops >= 0 ? hops : 0;
}
