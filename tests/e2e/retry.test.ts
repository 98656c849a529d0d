/** A handler that fails for a while: other keys go on, SIGKILL loses nothing, and every effect comes once. */
import { afterEach, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { type ConfigTree, EscServer } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { deadLettersOnce, payloadsOnce, publishAll, writeHandler } from "./handlers-rig.ts";

let server: EscServer | undefined;
let folder: TemporaryFolder | undefined;
afterEach(async () => {
  await server?.remove();
  folder?.remove();
});

const KEYS = ["k0", "k1", "k2", "k3", "k4", "k5"];
const EVENTS_PER_KEY = 10;

interface Output {
  readonly key: string;
  readonly n: number;
}

/** What the server says of events that wait for another attempt, once it says so. */
async function waitingFor(from: EscServer): Promise<number> {
  const deadlineMs = performance.now() + 30_000;
  for (;;) {
    const text = await (await fetch(from.url("/metrics"))).text();
    const waiting = Number(/^esc_retries_waiting (\d+)$/m.exec(text)?.[1]);
    if (waiting === 2 * EVENTS_PER_KEY || performance.now() > deadlineMs) return waiting;
    await Bun.sleep(20);
  }
}

/** Every key's numbers, in the order in which they came out. */
function byKey(outputs: readonly Output[]): Record<string, number[]> {
  const found: Record<string, number[]> = {};
  for (const { key, n } of outputs) (found[key] ??= []).push(n);
  return found;
}

function expected(keys: readonly string[]): Record<string, number[]> {
  const numbers = Array.from({ length: EVENTS_PER_KEY }, (_, n) => n);
  return Object.fromEntries(keys.map((key) => [key, numbers]));
}

test(
  "events wait for a handler that fails, behind their key alone, through SIGKILL, and have their effects once",
  async () => {
    folder = new TemporaryFolder("retry");
    mkdirSync(folder.path("handlers"));
    const gate = folder.path("gate");
    writeHandler(
      folder.path("handlers", "orders.ts"),
      `
import { existsSync } from "node:fs";
export default {
  topics: "orders.>",
  attempts: 100,
  pauseMs: 20,
  handle(event, context) {
    if (event.key < "k2" && !existsSync(${JSON.stringify(gate)})) throw new Error("not yet");
    context.publish("out.all", { key: event.key, n: event.payload.n });
  },
};`,
    );
    const config: ConfigTree = {
      processing: { handlers_dir: folder.path("handlers"), retry: { max_pause: "100ms" } },
      lanes: { transactional: { shards: 1 } },
    };
    server = await EscServer.start({ config });
    for (const key of KEYS) {
      await publishAll(server, "orders.new", Array.from({ length: EVENTS_PER_KEY }, (_, n) => ({ n })), key);
    }
    const others = KEYS.slice(2);
    const before = await payloadsOnce<Output>(server, "out.all", others.length * EVENTS_PER_KEY);
    expect(byKey(before)).toEqual(expected(others));
    expect(await waitingFor(server)).toBe(2 * EVENTS_PER_KEY);

    for (let kill = 0; kill < 2; kill++) {
      const data = server.folder;
      await server.kill();
      server = await EscServer.start({ config, folder: data });
    }
    writeFileSync(gate, "");
    const all = await payloadsOnce<Output>(server, "out.all", KEYS.length * EVENTS_PER_KEY);
    expect(byKey(all)).toEqual(expected(KEYS));
    const letters = await (await fetch(server.url("/api/v1/dlq"))).json() as { events: readonly unknown[] };
    expect(letters.events).toEqual([]);
  },
  90_000,
);

test(
  "an event that never succeeds is a dead letter after its attempts, and those behind it go on",
  async () => {
    folder = new TemporaryFolder("retry");
    mkdirSync(folder.path("handlers"));
    writeHandler(
      folder.path("handlers", "orders.ts"),
      `
export default {
  topics: "orders.>",
  attempts: 4,
  pauseMs: 1,
  handle(event, context) {
    if (event.payload.n === 3) throw new Error("never");
    context.publish("out.all", { key: event.key, n: event.payload.n });
  },
};`,
    );
    server = await EscServer.start({ config: { processing: { handlers_dir: folder.path("handlers") } } });
    await publishAll(server, "orders.new", Array.from({ length: EVENTS_PER_KEY }, (_, n) => ({ n })), "k");
    const outputs = await payloadsOnce<Output>(server, "out.all", EVENTS_PER_KEY - 1);
    expect(outputs.map(({ n }) => n)).toEqual([0, 1, 2, 4, 5, 6, 7, 8, 9]);
    const [letter] = await deadLettersOnce(server, 1);
    expect(letter).toMatchObject({ reason: "max_retries_exceeded", attempts: 4, payload: '{"n":3}' });
  },
  60_000,
);
