import { afterEach, beforeEach, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { inheritedSockets } from "../../src/system/inherited-sockets.ts";
import { EXECUTABLE, runEsc } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";

const RESTARTS = 3;
const EVENTS_EACH = 20;
const python = Bun.which("python3");

let folder: TemporaryFolder;
beforeEach(() => {
  folder = new TemporaryFolder("socket");
});
afterEach(() => folder.remove());

function configFile(): string {
  const path = folder.path("config.yaml");
  const config = {
    data: { dir: folder.path("data") },
    http: { port: 0 },
    grpc: { enable: false },
    ingestion: { tcp: { port: 1 }, udp: { enable: false } },
    logging: { format: "json" },
  };
  writeFileSync(path, JSON.stringify(config));
  return path;
}

test.skipIf(python === null)(
  "restarted on a socket of the manager, esc refuses no connection and keeps every event",
  async () => {
    const manager = Bun.spawn([
      python ?? "",
      join(import.meta.dir, "socket-manager.py"),
      EXECUTABLE,
      configFile(),
    ], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
    });
    const reader = manager.stdout.getReader();
    let text = "";
    const line = async (): Promise<string> => {
      while (!text.includes("\n")) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`the manager has ended: ${text}`);
        text += new TextDecoder().decode(value);
      }
      const [first = "", ...rest] = text.split("\n");
      text = rest.join("\n");
      return first;
    };
    const port = Number(await line());
    const send = (number: number) =>
      runEsc([
        "send",
        "--topic=a.b",
        `--port=${port}`,
        `--count=${EVENTS_EACH}`,
        "--acks=durable",
        `--id-prefix=r${number}-`,
      ]);

    // Before the server is up as well: whoever connects waits.
    expect((await send(0)).status).toBe(0);
    let refused = 0;
    let knocked = 0;
    let isOver = false;
    const knocking = (async () => {
      while (!isOver) {
        knocked++;
        await new Promise<void>((resolve) => {
          const socket = connect(port, "127.0.0.1", () => {
            socket.destroy();
            resolve();
          });
          socket.on("error", () => {
            refused++;
            resolve();
          });
        });
      }
    })();
    for (let number = 1; number <= RESTARTS; number++) {
      manager.stdin.write("\n");
      await manager.stdin.flush();
      // Connects while nobody accepts, and is answered by the successor.
      expect((await send(number)).status).toBe(0);
      expect(await line()).toBe("0");
    }
    isOver = true;
    await knocking;
    expect([refused, knocked > RESTARTS]).toEqual([0, true]);
    const tailed = await runEsc([
      "tail",
      "a.b",
      `--port=${port}`,
      "--from=earliest",
      "--json",
      `--limit=${(RESTARTS + 1) * EVENTS_EACH}`,
    ]);
    const ids = tailed.stdout.trim().split("\n").map((event) => JSON.parse(event).id);
    expect(new Set(ids).size).toBe((RESTARTS + 1) * EVENTS_EACH);
    manager.stdin.end();
    expect(await line()).toBe("0");
    expect(await manager.exited).toBe(0);
  },
  60_000,
);

test("inheritedSockets() takes what is meant for this process, by name", () => {
  const env = { LISTEN_PID: "7", LISTEN_FDS: "2", LISTEN_FDNAMES: "tcp:" };
  expect([...inheritedSockets(env, 7)]).toEqual([["tcp", 3], ["unknown", 4]]);
  expect(inheritedSockets(env, 8).size).toBe(0);
  expect(inheritedSockets({ LISTEN_PID: "7", LISTEN_FDS: "x" }, 7).size).toBe(0);
  expect(inheritedSockets({}, 7).size).toBe(0);
});
