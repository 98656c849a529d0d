import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { PRESET_NAMES } from "../../cli/generate/presets.ts";
import { type ConfigTree, EscServer, runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

const servers: EscServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
});

const EXAMPLES = join(import.meta.dir, "..", "..", "config", "examples");
const WAIT_MS = 20_000;

/** What each example promises: windows that fill, and rules that fire. */
const PROMISES = {
  iot: { windows: ["machines", "plants"], rules: ["overheated"] },
  ecommerce: { windows: ["revenue", "products", "pages"], rules: ["large-purchase"] },
  market: { windows: ["candles", "spreads"], rules: ["block-trade"] },
  gaming: { windows: ["leaders", "revenue"], rules: ["cheater", "guessing"] },
} as const;

async function until<T>(look: () => Promise<T>, isThere: (found: T) => boolean, what: string): Promise<T> {
  const deadlineMs = performance.now() + WAIT_MS;
  for (;;) {
    const found = await look();
    if (isThere(found)) return found;
    if (performance.now() > deadlineMs) throw new Error(`${what}: ${JSON.stringify(found).slice(0, 1000)}`);
    await Bun.sleep(50);
  }
}

test.each(PRESET_NAMES.map((name) => [name] as const))(
  "%s raises alerts and fills windows",
  async (preset) => {
    const { data: _, ...example }: ConfigTree = parse(readFileSync(join(EXAMPLES, `${preset}.yaml`), "utf8"));
    const server = await EscServer.start({ config: example });
    servers.push(server);
    // 6,000 events over 200 s of event time that end now: windows of a minute are over.
    const sent = await runEsc([
      ...[
        "--json",
        "generate",
        "--preset",
        preset,
        "--seed",
        "4",
        "--rate",
        "30",
        "--count",
        "6000",
        "--no-wait",
      ],
      ...["--port", String(server.tcpPort)],
    ]);
    expect([sent.status, JSON.parse(sent.stdout)]).toMatchObject([0, {
      sent: 6000,
      acknowledged: 6000,
      errors: 0,
    }]);
    const { windows, rules } = PROMISES[preset];
    const alerts = await until(
      async () => {
        const page = await (await fetch(server.url("/api/v1/alerts?limit=1000"))).json() as {
          readonly alerts: readonly { readonly rule: string }[];
        };
        return new Set(page.alerts.map(({ rule }) => rule));
      },
      (found) => rules.every((rule) => found.has(rule)),
      "alerts",
    );
    expect(rules.every((rule) => alerts.has(rule))).toBe(true);
    for (const window of windows) {
      const filled = await until(
        async () => {
          const page = await (await fetch(server.url(`/api/v1/windows/${window}?limit=1000`))).json() as {
            readonly windows?: readonly {
              readonly result: { readonly closed: boolean; readonly count: number };
            }[];
          };
          return page.windows ?? [];
        },
        (found) => found.length > 0,
        `window ${window}`,
      );
      expect(filled.every(({ result }) => result.closed && result.count > 0)).toBe(true);
    }
  },
  60_000,
);

test("the same seed writes the same bytes, to a file and to stdout, and they can be published", async () => {
  const folder = new TemporaryFolder("generate");
  try {
    const args = ["generate", "--preset", "ecommerce", "--seed", "5", "--count", "300", "--id-prefix", "g-"];
    const [toFile, toStdout, otherSeed] = [
      await runEsc([...args, "--out", folder.path("events.jsonl")]),
      await runEsc([...args, "-"]),
      await runEsc([...args, "--seed", "6", "-"]),
    ];
    expect([toFile.status, toStdout.status]).toEqual([0, 0]);
    expect(readFileSync(folder.path("events.jsonl"), "utf8")).toBe(toStdout.stdout);
    expect(otherSeed.stdout).not.toBe(toStdout.stdout);
    const server = await EscServer.start();
    servers.push(server);
    const publish = () =>
      fetch(server.url("/api/v1/publish"), {
        method: "POST",
        headers: { "content-type": "application/x-ndjson" },
        body: toStdout.stdout,
      });
    expect((await publish()).status).toBe(200);
    expect((await publish()).status).toBe(200);
    const stats = await (await fetch(server.url("/api/v1/stats"))).json() as {
      readonly events: { readonly durable: number; readonly duplicates: number };
    };
    expect(stats.events).toMatchObject({ durable: 300, duplicates: 300 });
  } finally {
    folder.remove();
  }
});

test("esc generate refuses what it does not know", async () => {
  const wrong = await runEsc(["generate", "--preset", "weather"]);
  expect([wrong.status, wrong.stderr]).toEqual([
    2,
    expect.stringContaining("Allowed choices are iot, ecommerce"),
  ]);
  const nowhere = await runEsc(["generate", "--preset", "iot", "--count", "1", "--port", "1"]);
  expect(nowhere.status).toBe(69);
});
