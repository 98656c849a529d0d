import { afterEach, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { EscServer } from "../support/esc.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { numbers, payloadsOnce, publishAll, writeHandler } from "./handlers-rig.ts";

const servers: EscServer[] = [];
const folders: TemporaryFolder[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.remove();
  for (const folder of folders.splice(0)) folder.remove();
});

interface Counted {
  readonly n: number;
  readonly version: number;
  readonly count: number;
}

/** Passes each event on, with its own version and a count from its state. */
const counting = (version: number) => `
export default {
  topics: "in",
  handle(event, context) {
    const count = Number(context.state.get("count") ?? 0) + 1;
    context.state.set("count", count);
    context.publish("out", { n: event.payload, version: ${version}, count });
  },
};`;

/** A quarter of a millisecond an event: batches take long enough to be killed in. */
function slowly(code: string): string {
  return code.replace(
    "const count",
    "for (const end = performance.now() + 0.25; performance.now() < end;);\n    const count",
  );
}

function handlerFolder(): TemporaryFolder {
  const folder = new TemporaryFolder("handlers");
  folders.push(folder);
  mkdirSync(folder.path("handlers"));
  writeHandler(folder.path("handlers", "counting.ts"), counting(1));
  return folder;
}

async function serve(handlers: TemporaryFolder, folder?: TemporaryFolder): Promise<EscServer> {
  const config = {
    processing: { handlers_dir: handlers.path("handlers"), start: "earliest" },
    lanes: { transactional: { shards: 1 } },
  };
  const server = await EscServer.start({ config, ...(folder === undefined ? {} : { folder }) });
  servers.push(server);
  return server;
}

test("versions change under load: no event is lost or doubled, and a broken one is refused", async () => {
  const folder = handlerFolder();
  const server = await serve(folder);
  let sent = 0;
  let isSending = true;
  const sending = (async () => {
    while (isSending) {
      await publishAll(server, "in", numbers(100).map((index) => sent + index));
      sent += 100;
    }
  })();
  /** Sends on until an event has gone through this version. */
  const versionSeen = async (version: number) => {
    for (let from = 0;;) {
      const outputs = await payloadsOnce<Counted>(server, "out", from);
      if (outputs[outputs.length - 1]?.version === version) return;
      from = outputs.length;
      await Bun.sleep(20);
    }
  };
  await versionSeen(1);
  writeHandler(folder.path("handlers", "counting.ts"), counting(2));
  await versionSeen(2);
  writeHandler(folder.path("handlers", "counting.ts"), "export default { handle( {");
  await server.logged(/handler counting cannot be loaded: .*the version before goes on/);
  const sentWhenRefused = sent;
  while (sent < sentWhenRefused + 200) await Bun.sleep(5);
  writeHandler(folder.path("handlers", "counting.ts"), counting(3));
  await versionSeen(3);
  isSending = false;
  await sending;
  const outputs = await payloadsOnce<Counted>(server, "out", sent);
  expect(outputs.map(({ n, count }) => [n, count])).toEqual(numbers(sent).map((n) => [n, n + 1]));
  const versions = outputs.map(({ version }) => version);
  expect(versions).toEqual([...versions].sort());
  expect(new Set(versions)).toEqual(new Set([1, 2, 3]));
}, 60_000);

test(
  "SIGKILL in the middle of batches: every event has its effects once, and the state is exact",
  async () => {
    const folder = handlerFolder();
    writeHandler(folder.path("handlers", "counting.ts"), slowly(counting(1)));
    let server = await serve(folder);
    const total = 1200;
    const kills = 2;
    for (let kill = 0; kill < kills; kill++) {
      const from = (kill * total) / kills;
      await publishAll(server, "in", numbers(total / kills).map((index) => from + index));
      // The first batches of this part have come out, the next is in hand.
      await payloadsOnce(server, "out", from + 1);
      await server.kill();
      server = await serve(folder, server.folder);
    }
    const outputs = await payloadsOnce<Counted>(server, "out", total);
    expect(outputs.map(({ n, count }) => [n, count])).toEqual(numbers(total).map((n) => [n, n + 1]));
    expect(await server.stop()).toBe(0);
  },
  60_000,
);
