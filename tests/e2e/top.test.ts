/** `esc top` in a real terminal: tmux holds it, types, and reads its screen. */
import { afterEach, expect, test } from "bun:test";
import { EscServer, EXECUTABLE, runEsc } from "../support/esc.ts";
import { freePort } from "../support/ports.ts";

const tmux = Bun.which("tmux");
if (tmux === null) console.log("skipped: tests of esc top in a terminal need tmux (Debian package tmux)");
const WAIT_MS_MAX = 20_000;

const servers: EscServer[] = [];
const terminals: Terminal[] = [];
afterEach(async () => {
  for (const terminal of terminals.splice(0)) terminal.end();
  for (const server of servers.splice(0)) await server.remove();
});

/** A shell in a terminal of a tmux server of its own. */
class Terminal {
  readonly #socket = `esc-${process.pid}-${terminals.length}-${Date.now()}`;

  constructor(columns: number, rows: number) {
    this.#tmux(
      "-f",
      "/dev/null",
      "new-session",
      "-d",
      "-x",
      String(columns),
      "-y",
      String(rows),
      "env PS1='$ ' sh",
    );
    terminals.push(this);
  }

  run(command: string): void {
    this.press(command, "Enter");
  }

  press(...keys: string[]): void {
    this.#tmux("send-keys", ...keys);
  }

  resize(columns: number, rows: number): void {
    this.#tmux("resize-window", "-x", String(columns), "-y", String(rows));
  }

  screen(): string {
    return this.#tmux("capture-pane", "-p");
  }

  /** Waits until the screen shows it. */
  async shows(pattern: RegExp): Promise<string> {
    const deadlineMs = Date.now() + WAIT_MS_MAX;
    for (;;) {
      const screen = this.screen();
      if (pattern.test(screen)) return screen;
      if (Date.now() > deadlineMs) throw new Error(`the terminal does not show ${pattern}:\n${screen}`);
      await Bun.sleep(50);
    }
  }

  /** Whether a program has the other page of the terminal, as editors have. */
  get isTaken(): boolean {
    return this.#tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").trim() !== "0 1";
  }

  /** Of the program in it. */
  async pidOf(command: string): Promise<number> {
    const shell = this.#tmux("display-message", "-p", "#{pane_pid}").trim();
    const { stdout } = Bun.spawnSync(["ps", "--ppid", shell, "-o", "pid=,args="]);
    const found = stdout.toString().split("\n").find((text) => text.includes(command));
    return Number(found?.trim().split(" ")[0] ?? NaN);
  }

  end(): void {
    this.#tmux("kill-server");
  }

  #tmux(...args: string[]): string {
    const { stdout } = Bun.spawnSync(["tmux", "-L", this.#socket, ...args], {
      env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C.UTF-8", TERM: "xterm-256color" },
    });
    return stdout.toString();
  }
}

async function serve(config = {}): Promise<EscServer> {
  const server = await EscServer.start({ config });
  servers.push(server);
  return server;
}

async function publish(server: EscServer, topic: string, count: number): Promise<void> {
  const events = Array.from({ length: count }, (_, n) => ({ topic, payload: `${n}`, priority: 1 }));
  const response = await fetch(server.url("/api/v1/publish"), {
    method: "POST",
    body: JSON.stringify(events),
  });
  expect(response.status).toBe(200);
  await response.text();
}

const widths = (screen: string) => Math.max(...screen.split("\n").map((text) => Bun.stringWidth(text)));

test.skipIf(tmux === null)(
  "esc top shows lanes, topics and consumers at 80x24 and 200x50, follows keys, and gives the terminal back",
  async () => {
    const server = await serve();
    await publish(server, "orders.eu", 20);
    await publish(server, "sensor\x1b[31m.red", 5);
    const terminal = new Terminal(80, 24);
    await terminal.shows(/\$/);
    terminal.run(`${EXECUTABLE} top --http-port ${server.httpPort}`);
    const small = await terminal.shows(/transactional +running/);
    expect(small).toMatch(/esc top 127\.0\.0\.1:\d+ {2}HEALTHY {2}RUNNING/);
    expect(small).toMatch(/LANE.+IN\/S.+QUEUE.+P99/);
    expect(small).toContain("LISTENER");
    expect(small).toContain("dispatcher");
    expect(small).toContain("q quit");
    expect(widths(small)).toBeLessThanOrEqual(80);

    terminal.press("2");
    const topics = await terminal.shows(/orders\.eu/);
    expect(topics).toContain("sensor\\x1b[31m.red");
    terminal.press("/");
    terminal.press("-l", "order");
    await terminal.shows(/filter: order_/);
    terminal.press("Enter");
    expect(await terminal.shows(/TOPIC \(1 of 2\)/)).not.toContain("sensor");
    terminal.press("3");
    await terminal.shows(/no durable consumer/);
    terminal.press("Tab");
    await terminal.shows(/no alert/);
    terminal.press("p");
    await terminal.shows(/PAUSED/);
    terminal.press("p", "1");
    await terminal.shows(/\[1 overview\]/);

    terminal.resize(200, 50);
    const large = await terminal.shows(/LAST MINUTE/);
    expect(large).toContain("memory");
    expect(large.split("\n").findLastIndex((text) => text.includes("q quit"))).toBe(49);

    expect(terminal.isTaken).toBe(true);
    terminal.press("q");
    await terminal.shows(/\$ *\n*$/);
    expect(terminal.isTaken).toBe(false);
    terminal.run("stty -a | grep -c ' icanon'");
    await terminal.shows(/^1$/m);
  },
  60_000,
);

test.skipIf(tmux === null)(
  "esc top says that the server is gone, and goes on when it is back; SIGTERM gives the terminal back",
  async () => {
    const port = await freePort();
    const config = { http: { host: "127.0.0.1", port } };
    const server = await serve(config);
    const terminal = new Terminal(100, 30);
    await terminal.shows(/\$/);
    terminal.run(`${EXECUTABLE} top --http-port ${port}`);
    await terminal.shows(/HEALTHY/);
    await server.kill();
    expect(await terminal.shows(/DISCONNECTED for \d+ s, trying again/)).toContain("old figures");
    servers.push(await EscServer.start({ folder: server.folder, config }));
    await terminal.shows(/HEALTHY/);
    process.kill(await terminal.pidOf("top --http-port"), "SIGTERM");
    await terminal.shows(/\$ *\n*$/);
    expect(terminal.isTaken).toBe(false);
  },
  60_000,
);

test("esc top prints one page into a pipe, one document with --json, and 69 without a server", async () => {
  const server = await serve();
  await publish(server, "orders.eu", 3);
  const page = await runEsc(["top", "--http-port", String(server.httpPort)]);
  expect(page).toMatchObject({ status: 0, stderr: "" });
  expect(page.stdout).toContain("orders.eu");
  expect(page.stdout).not.toContain("\x1b");
  const { status, stdout } = await runEsc(["--json", "top", "--http-port", String(server.httpPort)]);
  expect(status).toBe(0);
  const figures = JSON.parse(stdout);
  expect(figures.lanes.map((lane: { lane: string }) => lane.lane)).toEqual([
    "realtime",
    "transactional",
    "batch",
  ]);
  expect(figures.topics).toMatchObject([{ topic: "orders.eu", events: 3 }]);
  expect(figures).toMatchObject({ health: "HEALTHY", ready: true, missing: {} });
  expect(figures.threads.length).toBeGreaterThan(2);
  const nobody = await runEsc(["top", "--once", "--http-port", String(await freePort())]);
  expect(nobody).toMatchObject({ status: 69, stdout: "" });
  expect(nobody.stderr).toContain("Cannot connect");
}, 60_000);
