import { afterAll, beforeAll, expect, test } from "bun:test";
import { isTraceparent } from "../../src/tracing/trace-context.ts";
import { type ApiRig, startApi } from "../api/rig.ts";

const GOOD = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

let rig: ApiRig;
beforeAll(async () => {
  rig = await startApi();
}, 30_000);
afterAll(() => rig.stop());

test("isTraceparent() takes what the standard allows and nothing else", () => {
  expect(isTraceparent(GOOD)).toBe(true);
  expect(isTraceparent(`cc${GOOD.slice(2)}-what-the-future-brings`)).toBe(true);
  for (
    const bad of [
      "",
      "x",
      `${GOOD}-more`,
      `ff${GOOD.slice(2)}`,
      GOOD.toUpperCase(),
      GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0".repeat(32)),
      GOOD.replace("00f067aa0ba902b7", "0".repeat(16)),
      GOOD.slice(0, -1),
      ` ${GOOD}`,
    ]
  ) expect([bad, isTraceparent(bad)]).toEqual([bad, false]);
});

test("an event published by HTTP carries the trace context of its request to whoever reads it", async () => {
  const publish = async (headers: Record<string, string>) => {
    const response = await rig.fetch("/api/v1/publish/traced", { method: "POST", headers, body: "x" });
    expect(response.status).toBe(200);
    await response.text();
  };
  await publish({ traceparent: GOOD });
  await publish({ traceparent: "broken" });
  await publish({});
  const { events } = await (await rig.fetch("/api/v1/events?topic=traced")).json();
  expect(events.map((event: { headers?: object }) => event.headers)).toEqual([
    { traceparent: GOOD },
    undefined,
    undefined,
  ]);
});
