import { expect, test } from "bun:test";
import { setReceiveBuffer } from "../../src/system/socket-options.ts";

test("setReceiveBuffer() grants what the kernel allows, and says how much", async () => {
  const socket = await Bun.udpSocket({ hostname: "127.0.0.1", port: 0 });
  try {
    // 64 KiB is below the cap of every Linux kernel's default settings.
    expect(setReceiveBuffer(descriptorOf(socket), 64 * 1024)).toBe(64 * 1024);
    expect(setReceiveBuffer(descriptorOf(socket), 128 * 1024)).toBe(128 * 1024);
  } finally {
    socket.close();
  }
});

test("setReceiveBuffer() answers 0 for a descriptor that is no socket", () => {
  expect(setReceiveBuffer(0x7fffffff, 65536)).toBe(0);
});

/** `fd` is there but not in the type declarations. */
function descriptorOf(socket: object): number {
  if (!("fd" in socket) || typeof socket.fd !== "number") throw new Error("the socket has no descriptor");
  return socket.fd;
}
