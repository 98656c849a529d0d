import { afterAll, beforeAll, expect, test } from "bun:test";
import { CheckedApi } from "./document.ts";
import { type ApiRig, startApi } from "./rig.ts";

let rig: ApiRig;
let api: CheckedApi;

beforeAll(async () => {
  rig = await startApi("lanes: { transactional: { shards: 1, overflow: drop_new, queue_bytes: 256KiB } }", {
    maxFrame: "64KiB",
  });
  api = await CheckedApi.of(rig.url);
}, 30_000);
afterAll(() => rig.stop());

interface Letter {
  readonly offset: number;
  readonly topic: string;
  readonly payload: string;
  readonly id?: string;
  readonly reason: string;
  readonly origin: { readonly lane?: string };
}

async function letters(query = ""): Promise<Letter[]> {
  const found: Letter[] = [];
  let cursor = "";
  do {
    const { body } = await api.fetch(`/api/v1/dlq?limit=7${query}${cursor && `&cursor=${cursor}`}`);
    const page = body as { events: Letter[]; cursor?: string };
    found.push(...page.events);
    cursor = page.cursor ?? "";
  } while (cursor);
  return found;
}

async function depth(): Promise<number> {
  const { body } = await api.fetch("/api/v1/stats");
  return (body as { lanes: { transactional: { depth: number } } }).lanes.transactional.depth;
}

async function publish(
  events: readonly object[],
  acks: string,
): Promise<{ published: number; failed: number }> {
  const answer = await api.fetch(`/api/v1/publish?acks=${acks}`, {
    method: "POST",
    body: events.map((event) => JSON.stringify(event)).join("\n"),
    headers: { "content-type": "application/x-ndjson" },
  });
  // Nothing of it got through: the whole request is answered 429.
  if (answer.status === 429) return { published: 0, failed: events.length };
  return answer.body as { published: number; failed: number };
}

test("dead letters are listed with reason and origin, requeued as they were, and purged", async () => {
  expect(await letters()).toEqual([]);
  await api.fetch("/api/v1/control/pause", { method: "POST" });
  // More than the queue of the paused lane can hold.
  const payload = "p".repeat(8_000);
  let sent = 0;
  let refused = 0;
  // But few enough for the ring of the dead letters, which is not emptied either while its thread is paused.
  while (refused < 8) {
    const events = Array.from({ length: 10 }, (_, index) => ({
      topic: `dead.${(sent + index) % 2}`,
      payload: `${sent + index} ${payload}`,
      id: `id-${sent + index}`,
      priority: 1,
    }));
    const { failed } = await publish(events, "accepted");
    refused += failed;
    sent += events.length;
  }
  await api.fetch("/api/v1/control/resume", { method: "POST" });
  let dead = await letters();
  while (dead.length < refused) dead = await letters();
  expect(dead).toHaveLength(refused);
  for (const letter of dead) {
    expect([letter.reason, letter.origin.lane]).toEqual(["queue_full", "transactional"]);
    const number = Number(letter.payload.split(" ")[0]);
    expect([letter.topic, letter.id, letter.payload.length]).toEqual([
      `dead.${number % 2}`,
      `id-${number}`,
      `${number} `.length + payload.length,
    ]);
  }
  const even = dead.filter((letter) => letter.topic === "dead.0").length;
  expect(await letters("&topic=dead.0")).toHaveLength(even);
  expect(await letters("&reason=queue_full&lane=transactional")).toHaveLength(refused);
  expect(await letters("&reason=drop_old")).toEqual([]);
  expect(await letters("&lane=realtime")).toEqual([]);

  while (await depth() > 0) { /* a full lane would refuse them again */ }
  const requeued = await api.fetch("/api/v1/dlq/requeue?topic=dead.0", { method: "POST" });
  expect(requeued.body).toEqual({
    requeued: even,
    duplicates: 0,
    failed: 0,
    has_more: false,
    dry_run: false,
  });
  expect(await letters("&topic=dead.0")).toEqual([]);
  expect(await letters()).toHaveLength(refused - even);

  expect((await api.fetch("/api/v1/dlq", { method: "DELETE" })).body).toEqual({
    deleted: refused - even,
    dry_run: false,
  });
  expect(await letters()).toEqual([]);
  expect((await api.fetch("/api/v1/dlq", { method: "DELETE" })).body).toEqual({ deleted: 0, dry_run: false });

  // Stored once each: what was accepted at first, and what was requeued.
  const stored = new Set<string>();
  let cursor = "";
  do {
    const { body } = await api.fetch(`/api/v1/events?topic=dead.*&limit=50${cursor && `&cursor=${cursor}`}`);
    const page = body as { events: { id: string; headers?: object }[]; cursor?: string };
    for (const event of page.events) {
      expect(stored.has(event.id)).toBe(false);
      expect(event).not.toHaveProperty("headers");
      stored.add(event.id);
    }
    cursor = page.cursor ?? "";
  } while (cursor);
  expect(stored.size).toBe(sent - refused + even);
});

test("nonsense is refused", async () => {
  expect((await api.fetch("/api/v1/dlq?reason=bored")).status).toBe(400);
  expect((await api.fetch("/api/v1/dlq?cursor=x")).status).toBe(400);
  expect((await api.fetch("/api/v1/dlq?limit=0")).status).toBe(400);
});
