/**
 * Thread entry: publishes messages to a server, as fast as it takes them or by a schedule that does not wait for
 * anybody. In a schedule each payload begins with the moment at which it was to be sent, so that a sender that is
 * late makes the latency longer and not the load smaller.
 */
import { parentPort, workerData } from "node:worker_threads";
import { monotonicNs } from "../src/system/clock.ts";
import { PAYLOAD_BYTES, relayDialect } from "./relay-dialects.ts";

export interface RelayTask {
  readonly server: string;
  readonly port: number;
  readonly count: number;
  /** Messages a second; 0: as fast as they are taken. */
  readonly rate: number;
}

const BLOCK_MESSAGES = 512;
/** Steps of a schedule: so many messages at once, however fast it is. */
const STEPS_PER_S = 1000;
/** A socket that takes nothing is asked again after this. */
const RETRY_MS = 0.05;

const { server, port, count, rate } = workerData as RelayTask;
const dialect = relayDialect(server);
const { message, payloadAt } = dialect;
const block = Buffer.concat(Array.from({ length: BLOCK_MESSAGES }, () => message));
const nap = new Int32Array(new SharedArrayBuffer(4));
const drained = { resolve: () => {} };

const socket = await Bun.connect({
  hostname: "127.0.0.1",
  port,
  socket: {
    open: (opened) => void opened.setNoDelay(true),
    data() {},
    drain: () => drained.resolve(),
  },
});
if (dialect.hello.length > 0) socket.write(dialect.hello);
await (rate === 0 ? flood() : bySchedule());
// The server may not have read everything yet: whoever counts says when the thread may end.
parentPort?.postMessage("sent");
await new Promise((resolve) => parentPort?.once("message", resolve));
socket.terminate();
parentPort?.close();

async function flood(): Promise<void> {
  for (let sent = 0; sent < count;) {
    const messages = Math.min(BLOCK_MESSAGES, count - sent);
    const bytes = block.subarray(0, messages * message.length);
    for (let at = 0; at < bytes.length;) {
      const taken = socket.write(bytes, at, bytes.length - at);
      if (taken < 0) throw new Error(`${server} closed the connection`);
      at += taken;
      if (at < bytes.length) await new Promise<void>((resolve) => drained.resolve = resolve);
    }
    sent += messages;
  }
}

/** Blocks the thread: nothing comes back on this connection. */
async function bySchedule(): Promise<void> {
  // The server gets to see the connection before the clock starts.
  await new Promise((resolve) => setTimeout(resolve, 20));
  const step = Math.max(1, Math.round(rate / STEPS_PER_S));
  const stepNs = step * 1e9 / rate;
  const startNs = monotonicNs() + stepNs;
  for (let sent = 0; sent < count; sent += step) {
    const dueNs = startNs + (sent / step) * stepNs;
    for (let leftNs = dueNs - monotonicNs(); leftNs > 0; leftNs = dueNs - monotonicNs()) {
      Atomics.wait(nap, 0, 0, leftNs / 1e6);
    }
    const bytes = block.subarray(0, step * message.length);
    for (let at = payloadAt; at < bytes.length; at += message.length) bytes.writeDoubleBE(dueNs, at);
    for (let at = 0; at < bytes.length;) {
      at += Math.max(0, socket.write(bytes, at, bytes.length - at));
      if (at < bytes.length) Atomics.wait(nap, 0, 0, RETRY_MS);
    }
  }
}

if (payloadAt + PAYLOAD_BYTES > message.length) throw new Error("A message is longer than its payload");
