/** gRPC with clients that are not ours: Python's grpcio and grpcurl. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { EscServer } from "../support/esc.ts";
import { goProgram, pythonWith } from "../support/foreign.ts";

const PROTO = join(import.meta.dir, "..", "..", "deploy", "proto");
const python = await pythonWith("grpc", ["grpcio==1.85.1", "grpcio-tools==1.85.1"]);
const grpcurl = await goProgram("github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3");
let server: EscServer;
/** The .proto and what Python makes of it. */
let generated: string;

beforeAll(async () => {
  server = await EscServer.start();
  generated = server.folder.path("proto");
  mkdirSync(generated);
  cpSync(PROTO, generated, { recursive: true });
}, 30_000);
afterAll(() => server.remove());

async function output(command: readonly string[]): Promise<string> {
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: 50_000 });
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect([status, stderr]).toEqual([0, ""]);
  return stdout;
}

describe.skipIf(python.missing !== undefined)(`grpcio (${python.missing ?? "installed"})`, () => {
  const run = (script: string, ...args: readonly string[]) =>
    output([python.program ?? "", "-B", join(import.meta.dir, script), generated, ...args]);

  beforeAll(async () => {
    const target = [`--python_out=${generated}`, `--grpc_python_out=${generated}`];
    const proto = ["-I", generated, "eventstream.proto"];
    await output([python.program ?? "", "-m", "grpc_tools.protoc", ...target, ...proto]);
  }, 30_000);

  test("publishes, subscribes, streams, resumes and is refused as the .proto says", async () => {
    const address = server.addresses.grpc ?? "";
    expect(JSON.parse(await run("grpc_conversation.py", address))).toEqual({
      publish: [true, true],
      batch: [false, [[1, "BAD_EVENT"]]],
      received: [
        ["sensors/cpu", "45", 1, 0, {}],
        [
          "sensors/temperature",
          '{"value": 23.5, "unit": "celsius"}',
          3,
          1_700_000_000_123_456_000,
          { sensor_id: "temp-001", location: "room-1" },
        ],
      ],
      refused: ["INVALID_ARGUMENT", "BAD_EVENT"],
      pattern: "INVALID_ARGUMENT",
      // sensors/cpu and metrics/disk lie before it; one event of 3,000 was refused.
      stream: { in_order: true, refused: ["s1500"], offsets: [2, 3000] },
      resumed: 2002,
      health: [true, true, true],
    });
  }, 60_000);

  test("a stream that nobody reads holds up no other of its connection", async () => {
    const answer = await run("grpc_shared.py", server.addresses.grpc ?? "");
    expect(JSON.parse(answer)).toEqual({ read: 1000, live: true });
  }, 60_000);

  test("20 streams that nobody reads cost bounded memory and hold up nobody", async () => {
    const args = [server.addresses.grpc ?? "", String(server.pid)];
    const { read, grown_mib } = JSON.parse(await run("grpc_stalled.py", ...args));
    expect(read).toBe(6500);
    // 60 MB were published for each of 20 streams: 1,200 MB if it were kept for them.
    expect(grown_mib).toBeLessThan(250);
  }, 60_000);
});

describe.skipIf(grpcurl.missing !== undefined)(`grpcurl (${grpcurl.missing ?? "installed"})`, () => {
  const run = (...args: readonly string[]) => output([grpcurl.program ?? "", "-plaintext", ...args]);

  test("finds services by reflection, publishes and asks for health", async () => {
    const address = server.addresses.grpc ?? "";
    expect(await run(address, "list")).toBe(
      "eventstream.EventService\ngrpc.health.v1.Health\n" +
        "grpc.reflection.v1.ServerReflection\ngrpc.reflection.v1alpha.ServerReflection\n",
    );
    expect(await run(address, "describe", "eventstream.Kind")).toContain("ACKNOWLEDGED = 1;");
    const event = JSON.stringify({ event: { topic: "curl.test", payload: "aGk=", priority: "HIGH" } });
    const answer = await run("-d", event, address, "eventstream.EventService/Publish");
    expect(JSON.parse(answer)).toMatchObject({ success: true, message: "ok" });
    expect(JSON.parse(await run(address, "grpc.health.v1.Health/Check"))).toEqual({ status: "SERVING" });
  }, 30_000);
});
