import { expect, test } from "bun:test";
import { PortHandover } from "../../src/system/port-handover.ts";
import { listeningDescriptors } from "../../src/system/reuse-port.ts";

/** Greets with its name and closes. */
function listen(name: string, port = 0) {
  // Not written in the call: the runtime's types do not know `reusePort` for listeners.
  const options = {
    hostname: "127.0.0.1",
    port,
    reusePort: true,
    socket: {
      open(socket: Bun.Socket<undefined>) {
        socket.write(name);
        socket.end();
      },
      data() {},
    },
  };
  return Bun.listen<undefined>(options);
}

/** What a new connection hears; `refused` without one. */
function knock(port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let heard = "";
  Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_socket, bytes) => void (heard += bytes.toString()),
      close: () => resolve(heard === "" ? "refused" : heard),
      error: () => resolve("refused"),
    },
  }).catch(() => resolve("refused"));
  return promise;
}

test.skipIf(process.platform !== "linux")(
  "replace() hands the port over, again and again, and nobody is refused",
  async () => {
    const first = listen("0");
    const { port } = first;
    const handover = new PortHandover(first, { port, shares: 1 });
    const heard = new Set<string>();
    let isOver = false;
    const knocking = Array.from({ length: 4 }, async () => {
      while (!isOver) heard.add(await knock(port));
    });
    await handover.replace(() => listen("1", port));
    // Those that come while one takes over wait, and the newest of them has its turn.
    const skipped = handover.replace(() => listen("2", port));
    const last = handover.replace(() => listen("3", port));
    expect(await knock(port)).toBe("1");
    await skipped;
    await last;
    expect(await knock(port)).toBe("3");
    while (listeningDescriptors(port).size > 1) await Bun.sleep(5);
    expect(await knock(port)).toBe("3");
    isOver = true;
    await Promise.all(knocking);
    handover.stop();
    expect(listeningDescriptors(port).size).toBe(0);
    expect([...heard].filter((name) => !["0", "1", "3"].includes(name))).toEqual([]);
  },
  20_000,
);

test("replace() rejects with what opening threw, and the old one stays", async () => {
  const first = listen("0");
  const handover = new PortHandover(first, { port: first.port, shares: 1 });
  const refused = handover.replace(() => {
    throw new RangeError("no");
  });
  expect(refused).rejects.toThrow(RangeError);
  await refused.catch(() => {});
  expect(await knock(first.port)).toBe("0");
  handover.stop();
});
