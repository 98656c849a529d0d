import { afterEach, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { EscServer, runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";
import {
  alertsOf,
  deadLettersOnce,
  numbers,
  payloadsOnce,
  publishAll,
  writeHandler,
} from "./handlers-rig.ts";

const python = Bun.which("python3");
const servers: EscServer[] = [];
const folders: TemporaryFolder[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
  for (const folder of folders.splice(0)) folder.remove();
});

/** Answers each event; dies once in the middle of a batch, hangs on one event, and says no JSON on another. */
const SCORE = `
import json, os, sys, time
died = sys.argv[1]
for line in sys.stdin:
    event = json.loads(line)
    n = json.loads(event["payload"])
    if n == 40 and not os.path.exists(died):
        open(died, "w").close()
        os._exit(1)
    if n == 60:
        time.sleep(3600)
    answer = {"id": event["id"], "publish": [{"topic": "out", "payload": n, "key": event["key"]}]}
    if n == 10:
        answer.update(outcome="alert", severity="WARNING", message="ten")
    if n == 20:
        answer = {"id": event["id"], "outcome": "drop"}
    if n == 30:
        answer = {"id": event["id"], "outcome": "fail", "reason": "thirty"}
    if n == 50:
        print("not json")
    print(json.dumps(answer), flush=True)
`;

test.skipIf(python === null)(
  "a Python program handles events, dies in a batch, hangs on an event, and loses none (needs python3)",
  async () => {
    const folder = new TemporaryFolder("handlers");
    folders.push(folder);
    writeHandler(folder.path("score.py"), SCORE);
    const server = await EscServer.start({
      config: {
        handlers: {
          score: {
            command: ["python3", folder.path("score.py"), folder.path("died")],
            topics: "in",
            attempts: 2,
            budget: "1s",
          },
        },
      },
    });
    servers.push(server);
    await publishAll(server, "in", numbers(100), "k");
    const outputs = await payloadsOnce<number>(server, "out", 97);
    expect(outputs).toEqual(numbers(100).filter((n) => ![20, 30, 60].includes(n)));
    const letters = await deadLettersOnce(server, 2);
    expect(letters.map(({ payload, error, attempts }) => [payload, error, attempts]).sort()).toEqual([
      ["30", "thirty", 1],
      ["60", "It took more than 1000 ms for one event", 2],
    ]);
    expect(existsSync(folder.path("died"))).toBe(true);
    expect((await alertsOf(server)).some(({ message }) => message === "ten")).toBe(true);
    await server.logged(/handler score: no JSON on stdout: not json/);
    expect(await server.stop()).toBe(0);
  },
  60_000,
);

test.skipIf(python === null)("esc handlers test runs the Python example (needs python3)", async () => {
  const example = join(import.meta.dir, "..", "..", "config", "examples", "handlers", "score.py");
  const { status, stdout } = await runEsc(
    ["handlers", "test", "-", "--topic", "payments.card", "--command", "python3", example],
    { stdin: '{"amount": 100}\n{"amount": 4500}\nnothing\n' },
  );
  expect([status, stdout.split("\n")]).toEqual([1, [
    "1 payments.card success",
    '    → scores {"payment":{"amount":100},"score":2}',
    "2 payments.card alert WARNING: score 90",
    '    → scores {"payment":{"amount":4500},"score":90}',
    expect.stringMatching(/^3 payments.card fail no payment: JSONDecodeError/),
    "",
  ]]);
});
