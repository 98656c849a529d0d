/**
 * Sends alerts to an HTTP endpoint, one after the other: backoff between attempts, a circuit breaker, a bounded
 * queue. At least once: what waits is part of the checkpoint and is sent again after a crash.
 *
 * An endpoint that is down loses nothing but what the bound pushes out; one that refuses an alert (a status of
 * 400 to 499 that no repetition can mend) is not asked about it again. waiting ≤ WAITING_MAX
 */
import {
  BrokenCircuitError,
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleWhen,
  type IBackoff,
  type IPolicy,
  timeout,
  TimeoutStrategy,
  wrap,
} from "cockatiel";
import { type Alert, alertDocument } from "./alert.ts";

/** Alerts that wait; beyond, the oldest is given up and counted. */
export const WAITING_MAX = 1000;
const FIRST_PAUSE_MS = 200;
const PAUSE_MS_MAX = 10_000;
/** Failures in a row after which the endpoint is left alone for a while. */
export const BREAKER_FAILURES = 5;
const BREAKER_OPEN_MS = 15_000;
/** Statuses below 500 that may be other ones next time: timeout, too early, too many requests. */
const MENDING: readonly number[] = [408, 425, 429];

export interface WebhookSpec {
  readonly url: string;
  readonly timeoutMs: number;
  /** Sent with every request: authorization. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface WebhookHost {
  readonly report: (problem: string) => void;
  /** Pause after the first failure, longest pause, and that of the circuit breaker; for tests. */
  readonly firstPauseMs?: number;
  readonly pauseMsMax?: number;
  readonly breakerOpenMs?: number;
}

/** The endpoint does not want this alert, now or later. */
class Refused extends Error {}

export class Webhook {
  sentCount = 0;
  lostCount = 0;
  /** Requests that failed, each attempt. */
  failedCount = 0;
  readonly #spec: WebhookSpec;
  readonly #host: WebhookHost;
  readonly #waiting: Alert[] = [];
  readonly #policy: IPolicy;
  readonly #firstPause: IBackoff<unknown>;
  #pause: IBackoff<unknown>;
  #isSending = false;
  readonly #closing = new AbortController();

  constructor(spec: WebhookSpec, host: WebhookHost) {
    this.#spec = spec;
    this.#host = host;
    this.#policy = wrap(
      circuitBreaker(handleWhen((error) => !(error instanceof Refused)), {
        halfOpenAfter: host.breakerOpenMs ?? BREAKER_OPEN_MS,
        breaker: new ConsecutiveBreaker(BREAKER_FAILURES),
      }),
      timeout(spec.timeoutMs, TimeoutStrategy.Aggressive),
    );
    this.#firstPause = new ExponentialBackoff({
      initialDelay: host.firstPauseMs ?? FIRST_PAUSE_MS,
      maxDelay: host.pauseMsMax ?? PAUSE_MS_MAX,
    }).next();
    this.#pause = this.#firstPause;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  send(alert: Alert): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.#waiting.shift();
      this.lostCount++;
      this.#host.report(`Webhook ${this.#place} is far behind: the oldest of ${WAITING_MAX} alerts are lost`);
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

  /** Ends what is under way: what waits stays in the checkpoint. */
  close(): void {
    this.#closing.abort();
  }

  async #drain(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    while (this.#waiting.length > 0 && !this.#closing.signal.aborted) {
      const alert = this.#waiting[0] as Alert;
      if (!await this.#deliver(alert)) continue;
      // It may have been pushed out by newer ones meanwhile.
      if (this.#waiting[0] === alert) this.#waiting.shift();
    }
    this.#isSending = false;
  }

  /** One attempt, and the pause after one that failed. @returns Whether the alert is done with. */
  async #deliver(alert: Alert): Promise<boolean> {
    try {
      await this.#policy.execute(({ signal }) => this.#post(alert, signal), this.#closing.signal);
      this.sentCount++;
      this.#pause = this.#firstPause;
      return true;
    } catch (error) {
      if (this.#closing.signal.aborted) return false;
      const isRefused = error instanceof Refused;
      if (!(error instanceof BrokenCircuitError)) {
        this.failedCount++;
        const what = isRefused ? "refuses an alert, which is given up" : "does not take alerts, which wait";
        this.#host.report(`Webhook ${this.#place} ${what}: ${messageOf(error)}`);
      }
      if (isRefused) {
        this.lostCount++;
        return true;
      }
      await this.#rest();
      return false;
    }
  }

  #rest(): Promise<void> {
    const { signal } = this.#closing;
    const { duration } = this.#pause;
    this.#pause = this.#pause.next(undefined);
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, duration);
      signal.addEventListener("abort", end);
    });
  }

  async #post(alert: Alert, signal: AbortSignal): Promise<void> {
    const { severity, rule, message } = alert;
    const headers = new Headers({ "content-type": "application/json", "idempotency-key": alert.id });
    for (const [name, value] of this.#spec.headers) headers.set(name, value);
    const response = await fetch(this.#spec.url, {
      method: "POST",
      headers,
      body: JSON.stringify({ ...alertDocument(alert), text: `${severity} ${rule}: ${message}` }),
      signal,
    });
    await response.body?.cancel();
    const { ok, status } = response;
    if (ok) return;
    const isFinal = status >= 400 && status < 500 && !MENDING.includes(status);
    throw isFinal ? new Refused(`status ${status}`) : new Error(`status ${status}`);
  }

  /** A URL may carry a secret: only its host is told. */
  get #place(): string {
    return URL.parse(this.#spec.url)?.host ?? "";
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
