/**
 * `npx bun bench/grpc.ts [--events N]`: what gRPC takes, beside raw TCP on the same machine. Server and client each
 * have a process; every event asks for `accepted`, and every answer is looked at.
 */
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { parseArgs } from "node:util";
import { definitionOf } from "../src/api/grpc/definition.ts";
import {
  Acks,
  type Event,
  EventService,
  Kind,
  type PublishResponse,
} from "../src/api/grpc/eventstream_pb.ts";
import { EscServer, runEsc } from "../tests/support/esc.ts";

const { values } = parseArgs({ options: { events: { type: "string", default: "20000" } } });
const events = Number(values.events);
const BATCH = 100;
/** Unary calls under way at the same time. */
const CALLS = 64;
/** Events of a stream that are not answered. */
const WINDOW = 512;
const event = { topic: "bench.grpc", payload: new Uint8Array(128), priority: 2 };

const server = await EscServer.start();
const client = new Client(server.addresses.grpc ?? "", credentials.createInsecure());

/** One unary call. */
function call(method: "Publish" | "PublishBatch", request: object): Promise<void> {
  return new Promise((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = definitionOf(EventService)[method] ??
      fail(method);
    client.makeUnaryRequest(
      path,
      requestSerialize,
      (bytes) => responseDeserialize(bytes) as PublishResponse,
      request,
      (error, answer) =>
        error === null && answer?.success === true ? resolve() : reject(error ?? fail(method)),
    );
  });
}

function fail(what: string): never {
  throw new Error(`${what} did not answer as it should`);
}

/** Calls, CALLS at a time. */
async function unary(method: "Publish" | "PublishBatch", request: object, count: number): Promise<void> {
  let left = count;
  await Promise.all(Array.from({ length: CALLS }, async () => {
    while (left-- > 0) await call(method, request);
  }));
}

function stream(count: number): Promise<void> {
  const { path, requestSerialize, responseDeserialize } = definitionOf(EventService)["Stream"] ??
    fail("Stream");
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const metadata = new Metadata();
  metadata.set("esc-acks", "accepted");
  const duplex = client.makeBidiStreamRequest(
    path,
    requestSerialize,
    (bytes) => responseDeserialize(bytes) as Event,
    metadata,
  );
  let sent = 0;
  let answered = 0;
  const send = () => {
    while (sent < count && sent - answered < WINDOW) {
      duplex.write(event);
      sent++;
    }
  };
  duplex.on("data", (answer: Event) => {
    if (answer.kind !== Kind.ACKNOWLEDGED) reject(new Error(answer.error));
    if (++answered === count) duplex.end();
    else send();
  });
  duplex.on("end", resolve);
  duplex.on("error", reject);
  send();
  return promise;
}

async function rate(name: string, count: number, run: () => Promise<void>): Promise<void> {
  await run();
  const rates: number[] = [];
  for (let round = 0; round < 3; round++) {
    const startMs = performance.now();
    await run();
    rates.push(count / ((performance.now() - startMs) / 1000));
  }
  rates.sort((a, b) => a - b);
  const shown = rates.map((value) => Math.round(value).toLocaleString("en").padStart(9)).join(" ");
  console.log(`${name.padEnd(34)} ${shown}`);
}

console.log(`${"events/s, three rounds, slowest first".padEnd(34)}`);
const acks = Acks.ACCEPTED;
await rate(`Publish, ${CALLS} calls at a time`, events, () => unary("Publish", { event, acks }, events));
await rate("Stream", events * 2, () => stream(events * 2));
const batch = { events: Array.from({ length: BATCH }, () => event), acks };
await rate(`PublishBatch of ${BATCH}`, events * 5, () => unary("PublishBatch", batch, (events * 5) / BATCH));
const stress = ["stress", "--port", String(server.tcpPort), "--http-port", String(server.httpPort)];
const plan = [
  "--clients",
  "1",
  "--events",
  String(events * 25),
  "--size",
  "128",
  "--acks",
  "accepted",
  "--json",
];
await rate("TCP, esc stress, one client", events * 25, async () => {
  const { status, stderr } = await runEsc([...stress, ...plan]);
  if (status !== 0) throw new Error(stderr);
});
client.close();
await server.remove();
