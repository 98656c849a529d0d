import { afterAll, beforeAll, expect, test } from "bun:test";
import { ServiceNotifier, watchdogIntervalMs } from "../../src/system/notify.ts";
import { TemporaryFolder } from "../support/temp.ts";

// The service manager's end: a Unix datagram socket, which only Python can open here.
const RECEIVER = `
import socket, sys
name = sys.argv[1]
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind("\\0" + name[1:] if name.startswith("@") else name)
print("bound", flush=True)
while True:
    message = receiver.recv(4096).decode()
    if message == "END=1": break
    print(repr(message), flush=True)
`;

let folder: TemporaryFolder;
beforeAll(() => {
  folder = new TemporaryFolder("notify");
});
afterAll(() => folder.remove());

const python = Bun.which("python3");
const withPython = test.skipIf(python === null);

for (const kind of ["path", "abstract"] as const) {
  withPython(
    `ServiceNotifier sends one datagram a message to a socket in the ${kind} namespace`,
    async () => {
      const name = kind === "path" ? folder.path("notify.sock") : `@esc-test-${process.pid}-${Date.now()}`;
      const receiver = Bun.spawn([python ?? "", "-c", RECEIVER, name], { stdout: "pipe", stderr: "inherit" });
      const output = receiver.stdout.getReader();
      try {
        let text = "";
        const readMore = async () => {
          const { done, value } = await output.read();
          text += new TextDecoder().decode(value);
          return !done;
        };
        while (!text.includes("bound\n")) await readMore();
        const notifier = new ServiceNotifier(name);
        expect(notifier.ready("listening on\n127.0.0.1:9000")).toBe(true);
        expect(notifier.status("12 events/s")).toBe(true);
        expect(notifier.watchdog()).toBe(true);
        expect(notifier.stopping()).toBe(true);
        expect(notifier.reloading()).toBe(true);
        expect(notifier.send("END=1")).toBe(true);
        notifier.close();
        expect(notifier.send("READY=1")).toBe(false);
        while (await readMore());
        const lines = text.trimEnd().split("\n").slice(1);
        expect(lines.slice(0, 4)).toEqual([
          "'READY=1\\nSTATUS=listening on 127.0.0.1:9000'",
          "'STATUS=12 events/s'",
          "'WATCHDOG=1'",
          "'STOPPING=1'",
        ]);
        expect(lines[4]).toMatch(/^'RELOADING=1\\nMONOTONIC_USEC=\d+'$/);
        expect(lines).toHaveLength(5);
      } finally {
        receiver.kill();
        await receiver.exited;
      }
    },
  );
}

test("ServiceNotifier answers false without a manager, with a bad address, and when nobody listens", () => {
  for (
    const address of [undefined, "", "relative", "vsock:2:1", `/${"x".repeat(108)}`, "/absent/notify.sock"]
  ) {
    const notifier = new ServiceNotifier(address);
    expect(notifier.ready("up")).toBe(false);
    notifier.close();
  }
});

test("watchdogIntervalMs() is half of the manager's patience, for this process only", () => {
  expect(watchdogIntervalMs({ WATCHDOG_USEC: "30000000" }, 42)).toBe(15_000);
  expect(watchdogIntervalMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "42" }, 42)).toBe(15_000);
  expect(watchdogIntervalMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "43" }, 42)).toBeUndefined();
  expect(watchdogIntervalMs({ WATCHDOG_USEC: "100" }, 42)).toBe(1);
  for (const value of [undefined, "", "0", "-5", "soon"]) {
    expect(watchdogIntervalMs({ WATCHDOG_USEC: value }, 42)).toBeUndefined();
  }
});
