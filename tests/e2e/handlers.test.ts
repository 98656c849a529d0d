import { afterEach, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { type ConfigTree, EscServer, runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";
import {
  alertsOf,
  deadLettersOnce,
  numbers,
  payloadsOnce,
  publishAll,
  writeHandler,
} from "./handlers-rig.ts";

const servers: EscServer[] = [];
const folders: TemporaryFolder[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
  for (const folder of folders.splice(0)) folder.remove();
});

function handlersFolder(files: Readonly<Record<string, string>>): TemporaryFolder {
  const folder = new TemporaryFolder("handlers");
  folders.push(folder);
  mkdirSync(folder.path("handlers"));
  for (const [name, code] of Object.entries(files)) writeHandler(folder.path("handlers", name), code);
  return folder;
}

async function serve(config: ConfigTree): Promise<EscServer> {
  const server = await EscServer.start({ config });
  servers.push(server);
  return server;
}

const EVERYTHING = `
import { double } from "./_shared.ts";
interface Order { readonly n: number; readonly want?: string }
export default {
  topics: "orders.>",
  attempts: 2,
  pauseMs: 1,
  async handle(event: { payload: Order; key: string; headers: Record<string, string> }, context) {
    const { n, want } = event.payload;
    context.state.set("seen", Number(context.state.get("seen") ?? 0) + 1);
    context.publish("out.all", { n, twice: double(n), seen: context.state.get("seen") });
    if (want === "alert") return context.alert("CRITICAL", "n is " + n);
    if (want === "drop") return context.drop();
    if (want === "fail") return context.fail("not " + n);
    if (want === "throw") throw new Error("thrown at " + n);
    if (want === "nonsense") return { outcome: "maybe" };
    console.log("handled", n);
  },
};`;

test("a handler of the folder alerts, publishes, drops, fails and throws", async () => {
  const folder = handlersFolder({
    "every.ts": EVERYTHING,
    "_shared.ts": "export const double = (n: number): number => 2 * n;",
  });
  const server = await serve({ processing: { handlers_dir: folder.path("handlers") } });
  const wants = [undefined, "alert", "drop", "fail", "throw", "nonsense", undefined];
  await publishAll(server, "orders.new", wants.map((want, n) => ({ n, want })));
  const letters = await deadLettersOnce(server, 3);
  const shown = letters.map(({ topic, reason, error, attempts, payload }) => [
    JSON.parse(payload).n,
    topic,
    reason,
    error.replace(/ \(.*/, ""),
    attempts,
  ]);
  expect(shown.sort()).toEqual([
    [3, "orders.new", "processing_failed", "not 3", 1],
    [4, "orders.new", "max_retries_exceeded", "Error: thrown at 4", 2],
    [
      5,
      "orders.new",
      "processing_failed",
      'The handler returned no outcome: "maybe" is no outcome: success, alert, drop, fail',
      1,
    ],
  ]);
  // What failed left no trace in the state, and published nothing; what was dropped counts and published nothing.
  expect(await payloadsOnce(server, "out.all", 3)).toEqual([
    { n: 0, twice: 0, seen: 1 },
    { n: 1, twice: 2, seen: 2 },
    { n: 6, twice: 12, seen: 4 },
  ]);
  expect(await alertsOf(server)).toMatchObject([{ rule: "every", severity: "CRITICAL", message: "n is 1" }]);
  await server.logged(/handler every: handled 0/);
  const metric = 'esc_handler_events_total{handler="every",outcome="fail"} 4';
  for (let text = ""; !text.includes(metric);) {
    text = await (await fetch(server.url("/metrics"))).text();
    await Bun.sleep(50);
  }
  expect(await server.stop()).toBe(0);
});

const poison = (name: string, deed: string) => `
export default {
  async handle(event, context) {
    if (event.payload.poison === true) ${deed}
    context.publish("done.${name}", event.payload.n);
  },
};`;

test(
  "a loop, an exit, an abort and a heap without end stop their own handler only, and are dead-lettered",
  async () => {
    const deeds = {
      loops: "for (;;);",
      exits: "process.exit(3);",
      aborts: "process.abort();",
      eats: "for (const kept = []; ;) kept.push(new Uint8Array(8 << 20).fill(1));",
      waits: "await new Promise(() => {});",
      fine: "return context.drop();",
    };
    const names = Object.keys(deeds);
    const folder = handlersFolder(
      Object.fromEntries(Object.entries(deeds).map(([name, deed]) => [`${name}.ts`, poison(name, deed)])),
    );
    const server = await serve({
      handlers: Object.fromEntries(names.map((name) => [name, {
        use: folder.path("handlers", `${name}.ts`),
        topics: `in.${name}`,
        attempts: 1,
        budget: name === "eats" ? "30s" : "400ms",
        memory: "192MiB",
      }])),
    });
    const payloads = numbers(30).map((n) => ({ n, poison: n === 10 }));
    for (const name of names) await publishAll(server, `in.${name}`, payloads);
    const letters = await deadLettersOnce(server, names.length - 1);
    const shown = letters.map((
      { topic, error, attempts, payload },
    ) => [topic, error, attempts, JSON.parse(payload).n]);
    expect(shown.sort()).toEqual([
      ["in.aborts", expect.stringMatching(/^The process (was ended by|ended with)/), 1, 10],
      ["in.eats", "It used more than 192 MiB of memory", 1, 10],
      ["in.exits", "The process ended with status 3", 1, 10],
      ["in.loops", "It took more than 400 ms for one event", 1, 10],
      ["in.waits", "It took more than 400 ms for one event", 1, 10],
    ]);
    const expected = numbers(30).filter((n) => n !== 10);
    for (const name of names) {
      expect([name, await payloadsOnce<number>(server, `done.${name}`, 29)]).toEqual([name, expected]);
    }
    const alerts = await alertsOf(server);
    expect(new Set(alerts.map(({ rule }) => rule))).toEqual(new Set(names.filter((name) => name !== "fine")));
    expect((await fetch(server.url("/healthz"))).status).toBe(200);
  },
  60_000,
);

test("a handler that waits holds up no other handler, and SIGTERM keeps what waits for it", async () => {
  const gate = "new URL('./gate', import.meta.url)";
  const folder = handlersFolder({
    "fast.ts": `export default { topics: "in.fast", handle: (e, c) => c.publish("fast", e.payload) };`,
    "slow.ts": `import { existsSync } from "node:fs";
      export default { topics: "in.slow", budgetMs: 600000, async handle(e, c) {
        while (!existsSync(${gate})) await Bun.sleep(5);
        c.publish("slow", e.payload);
      } };`,
  });
  const config = { processing: { handlers_dir: folder.path("handlers") } };
  let server = await serve(config);
  await publishAll(server, "in.slow", numbers(50), "k");
  await publishAll(server, "in.fast", numbers(50), "k");
  expect(await payloadsOnce<number>(server, "fast", 50)).toEqual(numbers(50));
  expect(await server.stop()).toBe(0);
  server = await EscServer.start({ config, folder: server.folder });
  servers.push(server);
  writeHandler(folder.path("handlers", "gate"), "open");
  expect(await payloadsOnce<number>(server, "slow", 50)).toEqual(numbers(50));
}, 60_000);

test("a handler that cannot be loaded is told of, and others go on", async () => {
  const folder = handlersFolder({
    "good.ts": `export default { topics: "in.good", handle: (e, c) => c.publish("done", e.payload) };`,
    "broken.ts": "export default { topics: 'in.broken', handle( {",
  });
  const server = await serve({ processing: { handlers_dir: folder.path("handlers") } });
  await publishAll(server, "in.good", [1]);
  expect(await payloadsOnce<number>(server, "done", 1)).toEqual([1]);
  await server.logged(/handler broken cannot be loaded/);
  // A file dropped into the folder is a handler from then on.
  writeHandler(
    folder.path("handlers", "late.ts"),
    `export default { topics: "in.late", handle: (e, c) => c.publish("late", e.payload) };`,
  );
  for (let n = 0; (await queryCount(server, "late")) === 0; n++) await publishAll(server, "in.late", [n]);
});

async function queryCount(server: EscServer, topic: string): Promise<number> {
  await Bun.sleep(50);
  const page = await (await fetch(server.url(`/api/v1/events?topic=${topic}`))).json() as {
    events: unknown[];
  };
  return page.events.length;
}

test("esc handlers new, check and test", async () => {
  const folder = new TemporaryFolder("handlers");
  folders.push(folder);
  const inFolder = { cwd: folder.root };
  expect((await runEsc(["handlers", "new", "vip", "--topics", "orders.>"], inFolder)).status).toBe(0);
  const twice = await runEsc(["handlers", "new", "vip"], inFolder);
  expect([twice.status, twice.stderr]).toEqual([2, "error: handlers/vip.ts is there already\n"]);
  const checked = await runEsc(["--json", "handlers", "check", "handlers/vip.ts"], inFolder);
  expect(JSON.parse(checked.stdout)).toEqual({ file: "handlers/vip.ts", topics: ["orders.>"] });
  writeHandler(folder.path("handlers", "bad.ts"), "export const nothing = 1;");
  const bad = await runEsc(["handlers", "check", "handlers/bad.ts"], inFolder);
  expect([bad.status, bad.stdout]).toEqual([
    1,
    "handlers/bad.ts: The file exports no handler: export default { topics, handle(event, context) { ... } }\n",
  ]);
  const events = [{ amount: 1 }, { amount: 5000 }].map((payload) =>
    JSON.stringify({ topic: "orders.a", payload })
  );
  const tried = await runEsc(["handlers", "test", "handlers/vip.ts"], {
    ...inFolder,
    stdin: `${events.join("\n")}\n`,
  });
  expect([tried.status, tried.stdout]).toEqual([
    0,
    "1 orders.a success\n2 orders.a alert WARNING: Order of 5000\n",
  ]);
  const failed = await runEsc(["handlers", "test", "handlers/vip.ts", "--topic", "orders.b", "-"], {
    ...inFolder,
    stdin: "no json\n",
  });
  expect([failed.status, failed.stdout]).toEqual([1, "1 orders.b fail The payload is no JSON\n"]);
});
