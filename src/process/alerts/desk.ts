/**
 * Where alerts are raised: repeats are kept back, the rest goes to main (log, API), to the store, to a topic and
 * to webhooks. Processor thread only.
 */
import type { OutgoingEvent } from "../../event/encode.ts";
import { PRIORITY_HIGH } from "../../event/frame.ts";
import { plain } from "../rules/expression.ts";
import type { AlertSpec } from "../rules/spec.ts";
import { type Alert, alertDocument } from "./alert.ts";
import { Cooldown } from "./cooldown.ts";
import { Webhook, type WebhookSpec } from "./webhook.ts";

export interface AlertsSpec {
  /** Topic on which alerts are published, with `.<rule>` behind it; absent: on none. */
  readonly topic?: string;
  readonly webhooks: readonly WebhookSpec[];
}

/** What an alert is about. */
export interface Occasion {
  readonly rule: string;
  readonly alert: AlertSpec;
  readonly key: string;
  readonly message: string;
  readonly id: string;
  readonly raisedUs: number;
  readonly source: string;
  readonly topic: string;
  readonly eventId: string;
  readonly context: unknown;
}

export interface AlertHost {
  /** Hands it to main. */
  readonly tell: (alert: Alert) => void;
  readonly publish: (event: OutgoingEvent) => void;
  readonly report: (problem: string) => void;
}

export class AlertDesk {
  /** Raised and not yet in the store; taken by `takeRaised()`. */
  #raised: Alert[] = [];
  readonly #spec: AlertsSpec;
  readonly #host: AlertHost;
  readonly #cooldown = new Cooldown();
  readonly #webhooks: readonly Webhook[];

  constructor(spec: AlertsSpec, host: AlertHost) {
    this.#spec = spec;
    this.#host = host;
    this.#webhooks = spec.webhooks.map((webhook) => new Webhook(webhook, { report: host.report }));
  }

  raise(occasion: Occasion): void {
    const { rule, key, alert: { severity, cooldownMs } } = occasion;
    // A rule without keys is still about each topic by itself: one hot machine must not silence the next.
    const about = `${rule}\0${severity}\0${key === "" ? occasion.topic : key}`;
    const suppressed = this.#cooldown.admit(about, cooldownMs, occasion.raisedUs);
    if (suppressed < 0) return;
    const { id, message, raisedUs, source, topic, eventId, context } = occasion;
    const alert: Alert = {
      id,
      rule,
      severity,
      message,
      raisedUs,
      source,
      topic,
      key,
      eventId,
      suppressed,
      context,
    };
    this.#raised.push(alert);
    this.#host.tell(alert);
    for (const webhook of this.#webhooks) webhook.send(alert);
    if (this.#spec.topic === undefined) return;
    this.#host.publish({
      topic: `${this.#spec.topic}.${rule}`,
      priority: PRIORITY_HIGH,
      payload: JSON.stringify(alertDocument(alert), plain),
      timeUs: raisedUs,
      ...(key === "" ? {} : { key }),
    });
  }

  /** Of all webhooks together. */
  get webhookCounts(): { sent: number; failed: number; lost: number; waiting: number } {
    const counts = { sent: 0, failed: 0, lost: 0, waiting: 0 };
    for (const { sentCount, failedCount, lostCount, waitingCount } of this.#webhooks) {
      counts.sent += sentCount;
      counts.failed += failedCount;
      counts.lost += lostCount;
      counts.waiting += waitingCount;
    }
    return counts;
  }

  get raisedCount(): number {
    return this.#raised.length;
  }

  /** What is to be stored with the next commit. */
  takeRaised(): readonly Alert[] {
    const raised = this.#raised;
    this.#raised = [];
    return raised;
  }

  save(): unknown {
    return { cooldown: this.#cooldown.save(), webhooks: this.#webhooks.map((webhook) => webhook.save()) };
  }

  load(saved: unknown): void {
    const { cooldown, webhooks } = saved as { cooldown: unknown; webhooks: readonly (readonly Alert[])[] };
    this.#cooldown.load(cooldown);
    // Endpoints are known by their place: with another number of them, nobody knows whose these were.
    if (webhooks.length !== this.#webhooks.length) return;
    for (const [index, alerts] of webhooks.entries()) this.#webhooks[index]?.load(alerts);
  }

  close(): void {
    for (const webhook of this.#webhooks) webhook.close();
  }
}
