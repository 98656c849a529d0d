import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { BENCHMARKS } from "../../bench/catalogue.ts";
import { changeOf } from "../../bench/compare.ts";
import { dialects } from "../../bench/dialects.ts";
import { figureText, type FigureValue, spreadOf } from "../../bench/figure.ts";
import { plots } from "../../bench/plot.ts";
import { type Case, runBenchmark } from "../../bench/benchmark.ts";
import { runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

function figure(rounds: readonly number[]): FigureValue {
  const { median, min, max } = spreadOf(rounds);
  return { bench: "b", name: "n", kind: "rate", ns_per_event: median, ns_min: min, ns_max: max, rounds };
}

/** Numbers from 0 to below 1, always the same. */
function seeded(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const never = new AbortController().signal;
const small = { scale: 0.001, esc: [], interrupted: never };

describe("benchmarks", () => {
  const parts = [...BENCHMARKS.keys()].filter((name) =>
    !["e2e", "relay", "latency", "scale", "steady"].includes(name)
  );
  test.each(parts)("%s checks its result and gives a figure for each case", async (name) => {
    const benchmark = BENCHMARKS.get(name);
    if (benchmark === undefined) throw new Error(name);
    const lines: string[] = [];
    await runBenchmark(benchmark, {
      ...small,
      name,
      rounds: 1,
      onFigure: (found) => lines.push(figureText(found)),
    });
    expect(lines.length).toBeGreaterThan(1);
    for (const line of lines) expect(line).toMatch(/ M\/s +[\d.]+ (ns|us|ms) \(.+ to .+\)/);
  });

  test("runBenchmark() takes rounds of the cases in turn and leaves out the first of each", async () => {
    const order: string[] = [];
    const makeCase = (name: string, times: number[]): Case => ({
      name,
      round: () => {
        order.push(name);
        return { operations: 10, ns: times.shift() ?? 0 };
      },
      close: () => void order.push(`close ${name}`),
    });
    const found: [string, number, number, number][] = [];
    await runBenchmark({
      summary: "",
      open: () => [makeCase("a", [999, 30, 10, 20]), makeCase("b", [999, 1, 2, 3])],
    }, {
      ...small,
      name: "test",
      rounds: 3,
      onFigure: ({ name, nsPerEvent, nsMin, nsMax }) => found.push([name, nsPerEvent, nsMin, nsMax]),
    });
    expect(order).toEqual(["a", "b", "a", "b", "a", "b", "a", "b", "close a", "close b"]);
    expect(found).toEqual([["a", 2, 1, 3], ["b", 0.2, 0.1, 0.3]]);
  });

  test("runBenchmark() gives no figure when a round finds its result wrong", async () => {
    let closed = false;
    const wrong: Case = {
      name: "wrong",
      round: () => {
        throw new Error("3 of 4 events arrived");
      },
      close: () => {
        closed = true;
      },
    };
    const figures: unknown[] = [];
    const running = runBenchmark({ summary: "", open: () => [wrong] }, {
      ...small,
      name: "test",
      rounds: 1,
      onFigure: (found) => figures.push(found),
    });
    expect(running).rejects.toThrow("3 of 4 events arrived");
    await running.catch(() => {});
    expect(figures).toEqual([]);
    expect(closed).toBe(true);
  });
});

describe("changeOf()", () => {
  test("calls a figure faster when its interval lies below 1", () => {
    const change = changeOf(figure([100, 101, 99, 100, 102]), figure([50, 51, 49, 50, 52]), seeded());
    expect(change).toMatchObject({ ratio: 0.5, verdict: "faster" });
    expect(change.low).toBeLessThanOrEqual(0.5);
    expect(change.high).toBeGreaterThanOrEqual(0.5);
  });

  test("calls it slower when the interval lies above 1", () => {
    expect(changeOf(figure([10, 10, 10]), figure([20, 20, 20]), seeded())).toEqual({
      bench: "b",
      name: "n",
      ratio: 2,
      low: 2,
      high: 2,
      verdict: "slower",
    });
  });

  test("calls it unchanged when the rounds overlap", () => {
    expect(changeOf(figure([90, 100, 110]), figure([92, 101, 108]), seeded()).verdict).toBe("unchanged");
  });
});

describe("answers of other servers", () => {
  const all = dialects(["esc"]);
  const answersOf = (server: string, durability: string) => {
    const dialect = all.find((each) => each.server === server && each.durability === durability);
    if (dialect === undefined) throw new Error(server);
    return dialect.answers();
  };
  test.each(
    [
      ["esc", "fsync", "\0\0\0\x04\x20\x02{}\0\0\0\x0a\x20\x03\0\0\0\0\0\0\0\x07", 7],
      ["redis", "fsync", ":0\r\n$15\r\n1700000000000-0\r\n$15\r\n1700000000000-1\r\n", 2],
      [
        "nats",
        "page cache",
        'MSG inbox.made 1 20\r\n{"did_create":true}\r\nMSG inbox.a 1 9\r\n{"seq":1}\r\n',
        1,
      ],
    ] as const,
  )("%s (%s) are counted wherever they are cut", (server, durability, text, count) => {
    for (let cut = 0; cut <= text.length; cut++) {
      const answers = answersOf(server, durability);
      expect(answers.take(Buffer.from(text.slice(0, cut), "latin1"))).toBeUndefined();
      expect(answers.take(Buffer.from(text.slice(cut), "latin1"))).toBeUndefined();
      expect([answers.isReady, answers.count]).toEqual([true, count]);
    }
  });

  test("a refusal is told", () => {
    const answers = answersOf("redis", "fsync");
    expect(answers.take(Buffer.from(":0\r\n-ERR no\r\n"))).toStartWith("-ERR no");
  });
});

test("plots() draws a bar for each figure and marks what was published", () => {
  const [rates] = plots([{ ...figure([8, 9, 10]), published: { events_per_s: 125e6 } }]);
  expect(rates?.[0]).toBe("rates.svg");
  expect(rates?.[1].match(/<rect x=/g)?.length).toBe(1);
  expect(rates?.[1]).toContain("b: n");
});

describe("esc bench", () => {
  test("saves figures and compares with them", async () => {
    const folder = new TemporaryFolder("bench");
    try {
      const path = folder.path("figures.json");
      const args = ["bench", "crc", "--rounds", "1", "--scale", "0.001"];
      const saved = await runEsc([...args, "--save", path]);
      expect(saved.status).toBe(0);
      const lines = readFileSync(path, "utf8").trim().split("\n").map((line) => JSON.parse(line));
      expect(lines.map(({ bench }) => bench)).toEqual(["crc", "crc", "crc", "crc", "crc"]);
      const compared = await runEsc([...args, "--compare", path, "--json"]);
      expect(compared.status).toBe(0);
      expect(compared.stdout.match(/"verdict":"(faster|slower|unchanged)"/g)?.length).toBe(5);
    } finally {
      folder.remove();
    }
  });

  test("relay gets every event to its subscriber, live, by schedule and from the log", async () => {
    const { status, stdout, stderr } = await runEsc([
      ...["bench", "relay", "--json", "--rounds", "1", "--scale", "0.002"],
    ]);
    expect([status, stderr]).toEqual([0, ""]);
    const names = stdout.trim().split("\n").slice(1).map((line): string => JSON.parse(line).name);
    expect(names.filter((name) => !name.startsWith("nats"))).toEqual([
      "publish to one subscriber, 128 bytes, no acks",
      "replay to one subscriber, warm",
      "replay to one subscriber, cold",
      "publish to subscriber, 10,000 a second",
      "publish to subscriber, 100,000 a second",
    ]);
  }, 60_000);

  test("scale puts every event into the log, over topics, connections and behind a long log", async () => {
    const { status, stdout, stderr } = await runEsc([
      ...["bench", "scale", "--json", "--rounds", "1", "--scale", "0.002"],
    ]);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout.trim().split("\n").length).toBe(1 + 8);
  }, 60_000);

  test("refuses a name it does not know, a comparison it does not know, and a file of something else", async () => {
    const folder = new TemporaryFolder("bench");
    try {
      writeFileSync(folder.path("x.json"), "{}\n");
      for (const args of [["nothing"], ["--vs", "oracle"], ["crc", "--compare", folder.path("x.json")]]) {
        const { status, stderr } = await runEsc(["bench", ...args]);
        expect([args, status]).toEqual([args, 2]);
        expect(stderr).toContain("hint:");
      }
    } finally {
      folder.remove();
    }
  });
});
