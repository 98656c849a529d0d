/**
 * Sends alerts to an HTTP endpoint: retries with backoff, a circuit breaker, a bounded queue. At least once:
 * what waits is part of the checkpoint and is sent again after a crash.
 */
import {
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleAll,
  type IPolicy,
  retry,
  timeout,
  TimeoutStrategy,
  wrap,
} from "cockatiel";
import type { Alert } from "./alert.ts";

/** Alerts that wait; beyond, the oldest is given up and counted. */
export const WAITING_MAX = 1000;
const ATTEMPTS_MAX = 5;
const FIRST_PAUSE_MS = 200;
const PAUSE_MS_MAX = 10_000;
const BREAKER_FAILURES = 5;
const BREAKER_OPEN_MS = 15_000;

export interface WebhookSpec {
  readonly url: string;
  readonly timeoutMs: number;
  /** Sent with every request: authorization. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface WebhookHost {
  readonly report: (problem: string) => void;
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Pauses between attempts; for tests. */
  readonly firstPauseMs?: number;
}

export class Webhook {
  sentCount = 0;
  lostCount = 0;
  readonly #spec: WebhookSpec;
  readonly #host: WebhookHost;
  readonly #waiting: Alert[] = [];
  readonly #policy: IPolicy;
  #isSending = false;
  #isClosed = false;

  constructor(spec: WebhookSpec, host: WebhookHost) {
    this.#spec = spec;
    this.#host = host;
    this.#policy = wrap(
      retry(handleAll, {
        maxAttempts: ATTEMPTS_MAX - 1,
        backoff: new ExponentialBackoff({
          initialDelay: host.firstPauseMs ?? FIRST_PAUSE_MS,
          maxDelay: PAUSE_MS_MAX,
        }),
      }),
      circuitBreaker(handleAll, {
        halfOpenAfter: BREAKER_OPEN_MS,
        breaker: new ConsecutiveBreaker(BREAKER_FAILURES),
      }),
      timeout(spec.timeoutMs, TimeoutStrategy.Aggressive),
    );
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  send(alert: Alert): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.#waiting.shift();
      this.lostCount++;
    }
    this.#waiting.push(alert);
    void this.#drain();
  }

  /** What has not been taken by the endpoint. */
  save(): readonly Alert[] {
    return this.#waiting;
  }

  load(saved: readonly Alert[]): void {
    for (const alert of saved) this.send(alert);
  }

  close(): void {
    this.#isClosed = true;
  }

  async #drain(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const alert = this.#waiting[0] as Alert;
      try {
        await this.#policy.execute(({ signal }) => this.#post(alert, signal));
        this.sentCount++;
      } catch (error) {
        this.lostCount++;
        this.#host.report(`Webhook ${hostOf(this.#spec.url)} did not take an alert: ${messageOf(error)}`);
      }
      // It may have been pushed out by newer ones meanwhile.
      if (this.#waiting[0] === alert) this.#waiting.shift();
    }
    this.#isSending = false;
  }

  async #post(alert: Alert, signal: AbortSignal): Promise<void> {
    const response = await (this.#host.fetch ?? fetch)(this.#spec.url, {
      method: "POST",
      headers: [
        ["content-type", "application/json"],
        ["idempotency-key", alert.id],
        ...this.#spec.headers,
      ] as [
        string,
        string,
      ][],
      body: JSON.stringify({ ...alert, text: `${alert.severity} ${alert.rule}: ${alert.message}` }),
      signal,
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`status ${response.status}`);
  }
}

/** A URL may carry a secret: only its host is told. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : "";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
