/** What tests of handlers share: files of handlers, events for them, and what became of those. */
import { renameSync, writeFileSync } from "node:fs";
import type { EscServer } from "../support/esc.ts";
import { queryEvents } from "./read-log.ts";

export interface DeadLetter {
  readonly topic: string;
  readonly reason: string;
  readonly error: string;
  readonly attempts: number;
  readonly payload: string;
}

export interface ShownAlert {
  readonly rule: string;
  readonly severity: string;
  readonly message: string;
}

const WAIT_MS = 30_000;

/** Writes a file in one step, as careful editors do. */
export function writeHandler(path: string, code: string): void {
  writeFileSync(`${path}.new`, code);
  renameSync(`${path}.new`, path);
}

/** Publishes one event for each payload, in order; all are durable when it returns. */
export async function publishAll(
  server: EscServer,
  topic: string,
  payloads: readonly unknown[],
  key?: string,
): Promise<void> {
  const lines = payloads.map((payload) =>
    JSON.stringify({
      topic,
      payload: JSON.stringify(payload),
      priority: 2,
      ...(key === undefined ? {} : { key }),
    })
  );
  const response = await fetch(server.url("/api/v1/publish?acks=durable"), {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: lines.join("\n"),
  });
  if (response.status !== 200) throw new Error(`status ${response.status}: ${await response.text()}`);
}

/** Payloads of a topic, once there are `count`; fails with what there is. */
export async function payloadsOnce<T>(server: EscServer, topic: string, count: number): Promise<T[]> {
  const deadlineMs = performance.now() + WAIT_MS;
  for (;;) {
    const events = await queryEvents(server, topic);
    if (events.length >= count) return events.map((event) => JSON.parse(event.payload) as T);
    if (performance.now() > deadlineMs) throw new Error(`${events.length} of ${count} events\n${server.log}`);
    await Bun.sleep(20);
  }
}

/** Dead letters, once there are `count`. */
export async function deadLettersOnce(server: EscServer, count: number): Promise<DeadLetter[]> {
  const deadlineMs = performance.now() + WAIT_MS;
  for (;;) {
    const page = await (await fetch(server.url("/api/v1/dlq?limit=1000"))).json() as {
      readonly events: readonly DeadLetter[];
    };
    if (page.events.length >= count) return [...page.events];
    if (performance.now() > deadlineMs) {
      throw new Error(`${JSON.stringify(page.events)} instead of ${count} dead letters\n${server.log}`);
    }
    await Bun.sleep(20);
  }
}

export async function alertsOf(server: EscServer): Promise<readonly ShownAlert[]> {
  const answer = await (await fetch(server.url("/api/v1/alerts"))).json() as {
    alerts: readonly ShownAlert[];
  };
  return answer.alerts;
}

export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
