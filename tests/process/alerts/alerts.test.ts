import { expect, test } from "bun:test";
import type { OutgoingEvent } from "../../../src/event/encode.ts";
import type { Alert } from "../../../src/process/alerts/alert.ts";
import { AlertBoard, KEPT_MAX } from "../../../src/process/alerts/board.ts";
import { Cooldown } from "../../../src/process/alerts/cooldown.ts";
import { AlertDesk, type AlertsSpec } from "../../../src/process/alerts/desk.ts";
import { alertRow } from "../../../src/process/effects.ts";
import { withRandom } from "../../support/seed.ts";
import { alertOf } from "./alert-of.ts";

test("admit() counts what it keeps back, until the cooldown is over: against a naive model", () =>
  withRandom((random) => {
    const cooldown = new Cooldown();
    const last = new Map<string, { atUs: number; suppressed: number }>();
    let nowUs = 0;
    let restored = cooldown;
    for (let step = 0; step < 5000; step++) {
      nowUs += random.below(2000);
      const name = `rule-${random.below(5)}`;
      const cooldownMs = 5;
      const known = last.get(name);
      const isQuiet = known !== undefined && nowUs < known.atUs + cooldownMs * 1000;
      if (isQuiet) known.suppressed++;
      else last.set(name, { atUs: nowUs, suppressed: 0 });
      const expected = isQuiet ? -1 : known?.suppressed ?? 0;
      expect([step, restored.admit(name, cooldownMs, nowUs)]).toEqual([step, expected]);
      if (random.chance(0.01)) {
        const saved: unknown = JSON.parse(JSON.stringify(restored.save()));
        restored = new Cooldown();
        restored.load(saved);
      }
    }
  }));

test("a cooldown of nothing keeps nothing back, even when time goes back", () => {
  const cooldown = new Cooldown();
  expect([5, 5, 4, 6].map((nowUs) => cooldown.admit("r", 0, nowUs))).toEqual([0, 0, 0, 0]);
});

function deskOf(spec: Partial<AlertsSpec> = {}) {
  const told: Alert[] = [];
  const published: OutgoingEvent[] = [];
  const desk = new AlertDesk({ webhooks: [], ...spec }, {
    tell: (alert) => told.push(alert),
    publish: (event) => published.push(event),
    report: (problem) => {
      throw new Error(problem);
    },
  });
  const raise = (
    atUs: number,
    more: { key?: string; topic?: string; severity?: "INFO" | "WARNING" } = {},
  ) =>
    desk.raise({
      rule: "r",
      alert: { severity: more.severity ?? "WARNING", message: "", cooldownMs: 10 },
      key: more.key ?? "",
      message: `at ${atUs}`,
      id: `id-${atUs}`,
      raisedUs: atUs,
      source: "batch/0/1",
      topic: more.topic ?? "t",
      eventId: "e",
      context: { n: 1n },
    });
  return { desk, told, published, raise };
}

test("raise() keeps repeats of rule, severity and key back, and tells how many", () => {
  const { desk, told, raise } = deskOf();
  raise(0);
  raise(9_999);
  raise(5_000, { key: "k" });
  raise(5_000, { severity: "INFO" });
  raise(10_000);
  expect(told.map(({ message, key, severity, suppressed }) => [message, key, severity, suppressed])).toEqual([
    ["at 0", "", "WARNING", 0],
    ["at 5000", "k", "WARNING", 0],
    ["at 5000", "", "INFO", 0],
    ["at 10000", "", "WARNING", 1],
  ]);
  expect(desk.takeRaised()).toEqual(told);
  expect(desk.takeRaised()).toEqual([]);
});

test("without a key each topic has its own cooldown, and with one the topic does not matter", () => {
  const { told, raise } = deskOf();
  raise(0);
  raise(1, { topic: "other" });
  raise(2, { key: "k" });
  raise(3, { key: "k", topic: "other" });
  expect(told.map(({ message }) => message)).toEqual(["at 0", "at 1", "at 2"]);
});

test("an alert is published on its own topic in the form the API has, the rule behind the beginning", () => {
  const { published, raise } = deskOf({ topic: "alerts" });
  raise(7, { key: "k" });
  expect(published).toEqual([{
    topic: "alerts.r",
    priority: 3,
    timeUs: 7,
    key: "k",
    payload: JSON.stringify({
      id: "id-7",
      rule: "r",
      severity: "WARNING",
      message: "at 7",
      raised_us: 7,
      source: "batch/0/1",
      topic: "t",
      key: "k",
      event_id: "e",
      suppressed: 0,
      context: { n: 1 },
    }),
  }]);
});

test("the cooldown goes on after a restart", () => {
  const first = deskOf();
  first.raise(0);
  const second = deskOf();
  second.desk.load(JSON.parse(JSON.stringify(first.desk.save())));
  second.raise(9_000);
  second.raise(11_000);
  expect(second.told.map(({ message, suppressed }) => [message, suppressed])).toEqual([["at 11000", 1]]);
});

test("the board shows each alert once, newest first, and forgets the oldest beyond its limit", () => {
  let lines = 0;
  const heard: string[] = [];
  const board = new AlertBoard(() => lines++);
  const stop = board.listen(({ id }) => heard.push(id));
  for (let number = 0; number < KEPT_MAX + 2; number++) board.add(alertOf(`a${number}`));
  board.add(alertOf(`a${KEPT_MAX}`));
  stop();
  board.add(alertOf("last", { severity: "INFO" }));
  expect(board.newest(2).map(({ id }) => id)).toEqual(["last", `a${KEPT_MAX + 1}`]);
  expect(board.newest(KEPT_MAX * 2)).toHaveLength(KEPT_MAX);
  expect(heard).toHaveLength(KEPT_MAX + 2);
  expect([...board.totals.values()]).toEqual([
    { rule: "hot", severity: "CRITICAL", count: KEPT_MAX + 2 },
    { rule: "hot", severity: "INFO", count: 1 },
  ]);
  expect(lines).toBe(KEPT_MAX + 3);
});

test("a row of an alert has what the store's columns do not name in its context", () => {
  expect(alertRow(alertOf("a", { key: "k", suppressed: 3 }))).toEqual({
    id: "a",
    rule: "hot",
    severity: "CRITICAL",
    raisedUs: 1_000_000,
    topic: "sensor.1",
    key: "k",
    message: "it burns",
    context: `{"source":"realtime/0/7","event_id":"","suppressed":3,"context":{"payload":1}}`,
  });
  expect(alertRow(alertOf("b")).key).toBeNull();
});
