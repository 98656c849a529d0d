import { expect, test } from "bun:test";
import { DatagramSender } from "../../src/client/datagrams.ts";
import { EscError } from "../../src/errors.ts";

/** A UDP socket that hands out what it receives. */
async function receive(
  count: number,
): Promise<{ port: number; datagrams: Promise<Buffer[]>; close(): void }> {
  const received: Buffer[] = [];
  const all = Promise.withResolvers<Buffer[]>();
  const socket = await Bun.udpSocket({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(_socket, datagram) {
        received.push(Buffer.from(datagram));
        if (received.length === count) all.resolve(received);
      },
    },
  });
  return { port: socket.port, datagrams: all.promise, close: () => socket.close() };
}

test("events are packed into datagrams of at most the given size, as frames back to back", async () => {
  const peer = await receive(2);
  const sender = await DatagramSender.open({ host: "127.0.0.1", port: peer.port }, 30);
  for (const payload of ["one", "two", "three"]) {
    expect(sender.publish({ topic: "ab", priority: 4, payload })).toBe(true);
  }
  await sender.close();
  const datagrams = await peer.datagrams;
  peer.close();
  expect(datagrams.map((datagram) => datagram.toString("hex"))).toEqual([
    "000000080400026162" + "6f6e65" + "000000080400026162" + "74776f",
    "0000000a0400026162" + "7468726565",
  ]);
  expect([sender.datagramCount, sender.eventCount]).toEqual([2, 3]);
});

test("a larger event has a datagram of its own, and one beyond UDP is refused", async () => {
  const peer = await receive(1);
  const sender = await DatagramSender.open({ host: "127.0.0.1", port: peer.port }, 30);
  const headBytes = 4 + 3 + 1;
  expect(() => sender.publish({ topic: "t", payload: new Uint8Array(65_507 - headBytes + 1) })).toThrow(
    EscError,
  );
  expect(sender.publish({ topic: "t", payload: new Uint8Array(65_507 - headBytes) })).toBe(true);
  await sender.close();
  expect((await peer.datagrams).map((datagram) => datagram.length)).toEqual([65_507]);
  peer.close();
});

test("open() fails with SERVER_UNREACHABLE when the host is unknown", async () => {
  const error = await DatagramSender.open({ host: "no-such-host.invalid", port: 1 }).catch((reason) =>
    reason
  );
  expect(error).toBeInstanceOf(EscError);
  expect(error.code).toBe("SERVER_UNREACHABLE");
});
