import { expect, test } from "bun:test";
import type { Figures } from "../../cli/top/figures.ts";
import { FIRST_VIEW, keysOf, press, type View } from "../../cli/top/keys.ts";
import { fit, render, short, shortTime, sparkline } from "../../cli/top/lines.ts";
import { samplesOf } from "../../cli/top/scrape.ts";
import { pageOf, screenOf } from "../../cli/top/view.ts";
import { type Random, withRandom } from "../support/seed.ts";

const plain = (_style: string, text: string) => text;
const LIVE = { isLive: true, reason: "", sinceMs: 0 };
const LOST = { isLive: false, reason: "Cannot connect to 127.0.0.1:8080", sinceMs: 1_000 };
const MOMENT = { connection: LIVE, address: "127.0.0.1:8080", nowMs: 6_000 };

const NASTY = [
  "\x1b[2J\x1b]0;owned\x07",
  "金融市場データ",
  "👩‍👩‍👧‍👦🚀",
  "\u202edesrever",
  "a".repeat(255),
  "tab\tline\n",
  "",
];

function figures(random: Random, count: number): Figures {
  const name = () => random.pick(["orders.eu", "b", ...NASTY]);
  const number = () => random.pick<number | null>([null, 0, 0.3, 17, 999, 1000, 12_345, 9.99e6, 1e12, 1e18]);
  const list = <T>(make: () => T) => Array.from({ length: random.below(count + 1) }, make);
  return {
    version: "0.1.0",
    started_ms: 0,
    at_ms: 90_000_000,
    pipeline: "RUNNING",
    health: random.pick(["HEALTHY", "EMERGENCY"]),
    ready: random.chance(0.5),
    reasons: list(name),
    received_per_s: number(),
    delivered_per_s: number(),
    rejected_per_s: number(),
    connections: number(),
    connections_paused: number(),
    subscribers: number(),
    resident_bytes: number(),
    log_bytes: number(),
    dead_letters: number(),
    lanes: list(() => ({
      lane: name(),
      state: name(),
      accepted_per_s: number(),
      durable_per_s: number(),
      processed_per_s: number(),
      dropped_per_s: number(),
      depth_bytes: number(),
      capacity_bytes: number(),
      not_durable: number(),
      append_p50_us: number(),
      append_p99_us: number(),
      ack_p99_us: number(),
      process_p99_us: number(),
      deliver_p99_us: number(),
      recent: list(number),
    })),
    listeners: list(() => ({ listener: name(), received_per_s: number(), connections: random.below(1e6) })),
    consumers: list(() => ({ name: name(), lag: random.below(1e9), lag_per_s: number(), standing: name() })),
    topics: list(() => ({ topic: name(), lane: name(), events: random.below(1e9), per_s: number() })),
    topics_total: random.below(1e6),
    alerts: list(() => ({
      id: "1",
      rule: name(),
      severity: random.pick(["INFO", "EMERGENCY"]),
      message: name(),
      raised_us: 1_700_000_000_000_000,
      source: "",
      topic: name(),
      key: "",
      event_id: "",
      suppressed: 0,
      context: null,
    })),
    threads: list(() => ({ thread: name(), cpu: number() })),
    missing: random.chance(0.2) ? { topics: name(), consumers: name(), alerts: name() } : {},
  };
}

test("screenOf() fills any terminal and is never wider or higher, whatever names hold", async () => {
  await withRandom((random) => {
    for (let round = 0; round < 400; round++) {
      const size = { columns: random.between(1, 220), rows: random.between(1, 60) };
      const view: View = {
        ...FIRST_VIEW,
        pane: random.pick(["overview", "topics", "consumers", "alerts"]),
        filter: random.pick(["", "o", "\x1b["]),
        isTyping: random.chance(0.2),
        isPaused: random.chance(0.2),
        skipped: random.below(50),
      };
      const shown = random.chance(0.1) ? undefined : figures(random, 40);
      const moment = { ...MOMENT, connection: random.pick([LIVE, LOST]) };
      const lines = screenOf(shown, view, moment, size).map((it) => render(it, size.columns, plain));
      expect(lines.length).toBeLessThanOrEqual(size.rows);
      if (size.rows > 12 && shown !== undefined) expect(lines.length).toBe(size.rows);
      for (const text of lines) {
        expect(Bun.stringWidth(text)).toBeLessThanOrEqual(size.columns);
        // deno-lint-ignore no-control-regex
        expect(text).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]/);
      }
    }
  });
});

test("pageOf() prints everything, without an end of the screen", async () => {
  await withRandom((random) => {
    let all = figures(random, 30);
    while (all.topics.length < 20 || all.missing["topics"] !== undefined) all = figures(random, 30);
    const lines = pageOf(all, MOMENT, 120).map((it) => render(it, 120, plain));
    expect(lines.filter((text) => Bun.stringWidth(text) > 120)).toEqual([]);
    expect(lines.length).toBeGreaterThan(all.topics.length + all.lanes.length + all.alerts.length);
  });
});

test("a lost connection is told with its reason and its age, and the figures are called old", () => {
  const lines = screenOf(undefined, FIRST_VIEW, { ...MOMENT, connection: LOST }, { columns: 100, rows: 24 })
    .map((it) => render(it, 100, plain));
  expect(lines[0]).toBe(
    "esc top 127.0.0.1:8080  DISCONNECTED for 5 s, trying again: Cannot connect to 127.0.0.1:8080",
  );
  expect(lines.at(-1)).toContain("old figures");
});

test("press() chooses panes, types a filter, pauses and ends", () => {
  const after = (...keys: string[]) => keys.reduce(press, FIRST_VIEW);
  expect(after("2").pane).toBe("topics");
  expect(after("\t", "\t").pane).toBe("consumers");
  expect(after("\x1b[Z").pane).toBe("alerts");
  expect(after("p").isPaused).toBe(true);
  expect(after("p", "p").isPaused).toBe(false);
  expect(after("/", "q", "p", "\x7f", "/")).toMatchObject({
    pane: "topics",
    filter: "q/",
    isTyping: true,
    isOver: false,
  });
  expect(after("/", "a", "\r", "2")).toMatchObject({ filter: "a", isTyping: false, pane: "topics" });
  expect(after("/", "a", "\x1b")).toMatchObject({ filter: "", isTyping: false });
  expect(after("/", "\x1b[A", "\x00").filter).toBe("");
  expect(after("j", "j", "k").skipped).toBe(1);
  expect(after("k").skipped).toBe(0);
  expect(after("q").isOver).toBe(true);
  expect(after("/", "\x03").isOver).toBe(true);
  expect(after("z")).toEqual(FIRST_VIEW);
});

test("keysOf() keeps the sequence of a cursor key together", () => {
  expect(keysOf(Buffer.from("a\x1b[A\x1b[5~\x1b\té"))).toEqual(["a", "\x1b[A", "\x1b[5~", "\x1b", "\t", "é"]);
});

test("fit() cuts between graphemes and says so", () => {
  expect(fit("abcdef", 6)).toBe("abcdef");
  expect(fit("abcdefg", 6)).toBe("abcde…");
  expect(fit("金融市場", 5)).toBe("金融…");
  expect(fit("a\x1b[2J", 20)).toBe("a\\x1b[2J");
  expect(fit("abc", 0)).toBe("");
});

test("short(), shortTime() and sparkline() say much in few signs", () => {
  expect([null, 0, 0.25, 9.96, 999, 1000, 12_345, 999_000, 5e6, 3e12].map(short)).toEqual(
    ["-", "0", "0.3", "10.0", "999", "1.00k", "12.3k", "999k", "5.00M", "3.00T"],
  );
  expect([null, 812, 4_100, 81_000, 2_300_000].map(shortTime)).toEqual([
    "-",
    "812us",
    "4.1ms",
    "81ms",
    "2.3s",
  ]);
  expect(sparkline([0, 5, null, 10], 5)).toBe(" ▁▅ █");
});

test("samplesOf() reads a family and not those whose names begin with its name", () => {
  const page = 'esc_connections{listener="tcp"} 3\nesc_connections_total{listener="tcp"} 9\n' +
    'esc_connections{listener="a\\"b\\\\n\\n"} 1.5e3\n# esc_connections\nesc_subscribers 2\n';
  expect(samplesOf(page, "esc_connections")).toEqual([
    { labels: { listener: "tcp" }, value: 3 },
    { labels: { listener: 'a"b\\n\n' }, value: 1500 },
  ]);
  expect(samplesOf(page, "esc_subscribers")).toEqual([{ labels: {}, value: 2 }]);
});
