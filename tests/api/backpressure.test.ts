import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ApiRig, startApi } from "./rig.ts";

let rig: ApiRig;
beforeAll(async () => {
  rig = await startApi("lanes: { transactional: { shards: 1, overflow: block, queue_bytes: 256KiB } }", {
    maxFrame: "64KiB",
  });
}, 30_000);
afterAll(() => rig.stop());

const publish = (topic: string, priority: number) =>
  rig.fetch(`/api/v1/publish/${topic}`, {
    method: "POST",
    body: "x".repeat(60_000),
    headers: { "esc-priority": String(priority) },
  });

test(
  "a full lane answers 429 with Retry-After, holds up no other lane, and loses nothing it took",
  async () => {
    await rig.fetch("/api/v1/control/pause", { method: "POST" });
    const answers: Promise<Response>[] = [];
    let refused: Response | undefined;
    while (refused === undefined) {
      const answer = publish("full", 1);
      answers.push(answer);
      // Taken events are not answered while the lane stands still; a refusal comes soon.
      void answer.then((response) => {
        if (response.status === 429) refused ??= response;
      });
      await Bun.sleep(20);
      expect(answers.length).toBeLessThan(500);
    }
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(await refused.json()).toMatchObject({ status: 429, code: "QUEUE_FULL" });
    // Another lane takes events still: accepted, as it is paused, too.
    const other = await rig.fetch("/api/v1/publish/free?acks=accepted", {
      method: "POST",
      body: "x",
      headers: { "esc-priority": "4" },
    });
    expect(other.status).toBe(200);

    await rig.fetch("/api/v1/control/resume", { method: "POST" });
    const statuses = (await Promise.all(answers)).map((answer) => answer.status);
    expect(statuses.filter((status) => status !== 200 && status !== 429)).toEqual([]);
    const { events } = await (await rig.fetch("/api/v1/events?topic=full&limit=1000")).json() as {
      events: unknown[];
    };
    expect(events).toHaveLength(statuses.filter((status) => status === 200).length);
    expect((await publish("full", 1)).status).toBe(200);
  },
  30_000,
);

test("publishing after quiesce() is refused as shutting down, reading goes on", async () => {
  await rig.http.quiesce();
  const answer = await publish("late", 1);
  expect([answer.status, await answer.json()]).toEqual([
    503,
    expect.objectContaining({ code: "SHUTTING_DOWN" }),
  ]);
  expect((await rig.fetch("/api/v1/events")).status).toBe(200);
});
