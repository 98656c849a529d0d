/**
 * Load for the siege drill, in a process of its own: `siege-load.ts KIND PORT COUNT`. Says `ready` when it
 * stands, and goes on until its standard input ends.
 */
import { control } from "./wire.ts";

const [kind = "", portText = "", countText = ""] = process.argv.slice(2);
const port = Number(portText);
const count = Number(countText);
/** Connections opened at the same time. */
const AT_ONCE = 64;

const silent = { data() {}, error() {}, connectError() {} };
const open = () => Bun.connect({ hostname: "127.0.0.1", port, socket: silent });

/** Opens connections, AT_ONCE at a time. */
async function openAll(first: Uint8Array | string): Promise<Bun.Socket[]> {
  const sockets: Bun.Socket[] = [];
  while (sockets.length < count) {
    const some = await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, open));
    for (const socket of some) socket.write(first);
    sockets.push(...some);
    // Below what one address may open in a second.
    await Bun.sleep(100);
  }
  return sockets;
}

switch (kind) {
  case "slowloris": {
    // Requests that never end: a header now and then. What the server closes is opened again.
    const sockets = await openAll("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    setInterval(async () => {
      for (const [index, socket] of sockets.entries()) {
        if (socket.readyState === 1) {
          socket.write("X-Slow: 1\r\n");
        } else {
          const fresh = await open().catch(() => undefined);
          fresh?.write("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n");
          if (fresh !== undefined) sockets[index] = fresh;
        }
      }
    }, 1_000);
    break;
  }
  case "halves": {
    // Frames that never end.
    const sockets = await openAll(Uint8Array.of(0, 0, 4, 0, 1));
    setInterval(() => sockets.forEach((socket) => void socket.write(Uint8Array.of(0))), 1_000);
    break;
  }
  case "idle":
    await openAll(control(1, { acks: "none" }));
    break;
  case "flood": {
    // New connections as fast as they are let in, and none of them kept.
    const knock = async () => {
      for (;;) {
        const socket = await open().catch(() => undefined);
        socket?.terminate();
      }
    };
    for (let index = 0; index < count; index++) void knock();
    break;
  }
  default:
    throw new Error(`There is no load "${kind}"`);
}
console.log("ready");
for await (const _ of Bun.stdin.stream());
process.exit(0);
