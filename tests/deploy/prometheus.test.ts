/** Rules and dashboards against a real server and a real Prometheus. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EscServer, runEsc } from "../support/esc.ts";
import { freePort } from "../support/ports.ts";

const ROOT = join(import.meta.dir, "..", "..");
const RULES = join(ROOT, "deploy", "prometheus", "esc.rules.yaml");
const DASHBOARD = join(ROOT, "deploy", "grafana", "esc.json");
const isMissing = Bun.which("promtool") === null || Bun.which("prometheus") === null;
const title = `Prometheus${isMissing ? " (not installed: package prometheus)" : ""}`;
const SCRAPED_MS_MAX = 30_000;

/** Everything that has metrics of its own is in use. */
const CONFIG = {
  store: { topics: ["shop.>"] },
  rules: {
    dear: {
      topics: ["shop.>"],
      when: "payload.amount > 10.0",
      alert: { severity: "WARNING", message: "dear" },
    },
  },
  windows: {
    turnover: { topics: ["shop.>"], tumbling: "1s", aggregates: { amount: "sum(payload.amount)" } },
  },
};

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const rules = readFileSync(RULES, "utf8");
const panels: readonly Panel[] = JSON.parse(readFileSync(DASHBOARD, "utf8")).panels;
const queries = panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => [title, expr] as const)
);

describe.skipIf(isMissing)(title, () => {
  test("promtool accepts the rules, and each alert fires and is quiet as its tests say", () => {
    const promtool = (...args: string[]) => Bun.spawnSync(["promtool", ...args], { cwd: join(RULES, "..") });
    expect(promtool("check", "rules", RULES).exitCode).toBe(0);
    const tested = promtool("test", "rules", "esc.rules.test.yaml");
    expect(tested.stderr.toString()).toBe("");
    expect(tested.exitCode).toBe(0);
  });

  let server: EscServer | undefined;
  let prometheus: Bun.Subprocess | undefined;
  let url = "";
  let page = "";

  beforeAll(async () => {
    server = await EscServer.start({ config: CONFIG });
    url = await startPrometheus(server);
    const port = `--port=${server.tcpPort}`;
    const send = ["send", "--topic=shop.a", '--payload={"amount":20}', "--count=50", "--acks=durable", port];
    const tail = ["tail", "shop.>", "--consumer=billing", "--from=earliest", "--limit=10", port];
    const deadlineMs = Date.now() + SCRAPED_MS_MAX;
    // Rates need two scrapes in which a series is there.
    for (let scrapes = 0; scrapes < 4;) {
      expect((await runEsc(send)).status).toBe(0);
      expect((await runEsc(tail)).status).toBe(0);
      await fetch(`http://127.0.0.1:${server.httpPort}/api/v1/query/last?topic=shop.a`);
      scrapes = Number((await ask("count_over_time(esc_store_queries_total[1m])"))[0]?.value[1] ?? 0);
      if (Date.now() > deadlineMs) throw new Error("Prometheus has not scraped");
    }
    page = await (await fetch(`http://127.0.0.1:${server.httpPort}/metrics`)).text();
  }, 60_000);

  afterAll(async () => {
    prometheus?.kill("SIGKILL");
    await prometheus?.exited;
    await server?.remove();
  });

  async function startPrometheus({ folder, httpPort }: EscServer): Promise<string> {
    const target = `{ job_name: esc, static_configs: [{ targets: ["127.0.0.1:${httpPort}"] }] }`;
    const config = folder.path("prometheus.yaml");
    writeFileSync(
      config,
      `global: { scrape_interval: 1s, scrape_timeout: 1s }\nrule_files: ["${RULES}"]\nscrape_configs: [${target}]\n`,
    );
    const address = `127.0.0.1:${await freePort()}`;
    prometheus = Bun.spawn([
      "prometheus",
      `--config.file=${config}`,
      `--storage.tsdb.path=${folder.path("tsdb")}`,
      `--web.listen-address=${address}`,
    ], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
    return `http://${address}`;
  }

  async function ask(expression: string): Promise<readonly { value: [number, string] }[]> {
    const response = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query: expression })}`).catch(
      () => undefined,
    );
    if (response === undefined || response.status === 503) return [];
    const { status, data, error } = await response.json() as {
      status: string;
      error?: string;
      data?: { result: readonly { value: [number, string] }[] };
    };
    if (status !== "success") throw new Error(`${expression}: ${error}`);
    return data?.result ?? [];
  }

  test("every metric that an alert names is on the page", () => {
    const named = new Set(rules.match(/\besc_[a-z0-9_]+/g)?.map((name) => name.replace(/_bucket$/, "")));
    const there = new Set(page.match(/^# TYPE (\S+)/gm)?.map((line) => line.slice("# TYPE ".length)));
    expect([...named].filter((name) => !there.has(name))).toEqual([]);
    expect(named.size).toBeGreaterThan(20);
  });

  test.each(queries)("dashboard, %s: %s", async (_title, expression) => {
    const query = expression.replaceAll("$__rate_interval", "1m").replaceAll("$instance", ".*");
    expect((await ask(query)).length).toBeGreaterThan(0);
  });
});

test("every alert has a section in the runbook, and the runbook no other", () => {
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  const runbook = readFileSync(join(ROOT, "docs", "runbook.md"), "utf8");
  const sections = [...runbook.matchAll(/^### (Esc\w+)$/gm)].map(([, name]) => name);
  expect(sections).toEqual(alerts);
  for (const name of alerts) expect(rules).toContain(`docs/runbook.md#${name?.toLowerCase()}`);
});
