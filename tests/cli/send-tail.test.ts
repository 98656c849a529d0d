import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { freePort } from "../support/ports.ts";
import { type CommandResult, EscServer, EXECUTABLE, runEsc } from "../support/esc.ts";

let server: EscServer;

beforeAll(async () => {
  server = await EscServer.start();
}, 30_000);
afterAll(() => server.remove());

function send(topic: string, ...args: string[]): Promise<CommandResult> {
  return runEsc(["send", `--topic=${topic}`, `--port=${server.tcpPort}`, ...args]);
}

function tail(pattern: string, ...args: string[]): Promise<CommandResult> {
  const ports = [`--port=${server.tcpPort}`, `--http-port=${server.httpPort}`];
  return runEsc(["tail", pattern, ...ports, "--from=earliest", "--until-end", ...args]);
}

test("send --payload --count sends it n times, and tail --json shows all of it", async () => {
  const sent = await send(
    "st.json",
    "--payload=hi",
    "--count=2",
    "--priority=critical",
    "--key=k",
    "--header=a=b=c",
    "--id-prefix=x",
  );
  expect(sent.stdout).toMatch(/^sent 2, acknowledged 2, errors 0 in \d+\.\d\d s \([\d,]+ events\/s\)\n$/);
  const { status, stdout } = await tail("st.json", "--json");
  expect(status).toBe(0);
  const events = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  expect(events).toEqual([1, 2].map((number) => ({
    lane: "realtime",
    shard: 0,
    offset: expect.any(Number),
    topic: "st.json",
    priority: 4,
    received_us: expect.any(Number),
    id: `x${number}`,
    key: "k",
    headers: { a: "b=c" },
    payload: "hi",
  })));
});

test("send --id-prefix twice stores each event once", async () => {
  for (let round = 0; round < 2; round++) {
    expect((await send("st.once", "--count=100", "--id-prefix=once-")).status).toBe(0);
  }
  const { stdout } = await tail("st.once", "--format=raw");
  expect(stdout).toBe(Array.from({ length: 100 }, (_, index) => `event ${index + 1}\n`).join(""));
});

test("lines come from a file, from - and from stdin without it; bytes stay as they are", async () => {
  const path = server.folder.path("lines.bin");
  const bytes = Buffer.from("first\r\n\n\xff\xfe\0tail", "latin1");
  writeFileSync(path, bytes);
  expect((await send("st.lines", `--file=${path}`)).status).toBe(0);
  expect(
    (await runEsc(["send", "--topic=st.lines", `--port=${server.tcpPort}`, "-"], { stdin: bytes })).status,
  ).toBe(0);
  expect((await runEsc(["send", "--topic=st.lines", `--port=${server.tcpPort}`], { stdin: bytes })).status)
    .toBe(0);
  const { stdout } = await tail("st.lines", "--json");
  const once = ["first\r", "", Buffer.from("\xff\xfe\0tail", "latin1").toString("base64")];
  expect(stdout.trimEnd().split("\n").map((line) => JSON.parse(line).payload)).toEqual([
    ...once,
    ...once,
    ...once,
  ]);
});

test("send --file --count stops after n lines; --udp sends datagrams", async () => {
  const path = server.folder.path("ten.txt");
  writeFileSync(path, "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n");
  const { stdout } = await send(
    "st.udp",
    `--file=${path}`,
    "--count=3",
    "--udp",
    `--port=${server.udpPort}`,
    "--json",
  );
  expect(JSON.parse(stdout)).toMatchObject({ sent: 3, acknowledged: null, errors: 0 });
  const live = await runEsc([
    "tail",
    "st.udp",
    `--port=${server.tcpPort}`,
    "--from=earliest",
    "--limit=3",
    "--format=raw",
  ]);
  expect(live.stdout).toBe("1\n2\n3\n");
});

test("a line that no event can hold is left out, counted, and makes the status 1", async () => {
  const stdin = `small\n${"x".repeat(1_048_576)}\nlast\n`;
  const { status, stdout, stderr } = await runEsc([
    "send",
    "--topic=st.long",
    `--port=${server.tcpPort}`,
    "--json",
    "-",
  ], { stdin });
  expect([status, JSON.parse(stdout).sent, JSON.parse(stdout).errors]).toEqual([1, 2, 1]);
  expect(stderr).toContain("1 lines are longer than 1048566 bytes");
  expect((await tail("st.long", "--format=raw")).stdout).toBe("small\nlast\n");
});

test("tail prints text without letting an event steer the terminal", async () => {
  await send("st.text", "--payload=\x1b[2Jred\nnext\t\x07");
  const { stdout } = await tail("st.text");
  expect(stdout).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z transactional\/0@\d+ MEDIUM st\.text /);
  expect(stdout).toEndWith(" \\x1b[2Jred\\nnext\\t\\x07\n");
});

test("tail starts at offsets and at a time, and stops at the limit", async () => {
  await send("st.from", "--count=10");
  const all = (await tail("st.from", "--json")).stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  const fifth = all[4];
  const from = (start: string, ...args: string[]) =>
    runEsc([
      "tail",
      "st.from",
      `--port=${server.tcpPort}`,
      `--http-port=${server.httpPort}`,
      `--from=${start}`,
      "--format=raw",
      ...args,
    ]);
  expect((await from(`${fifth.lane}/${fifth.shard}=${fifth.offset}`, "--limit=2")).stdout).toBe(
    "event 5\nevent 6\n",
  );
  expect((await from("1h", "--until-end")).stdout).toBe(all.map(({ payload }) => `${payload}\n`).join(""));
  expect((await from("2100-01-01T00:00:00Z", "--until-end")).stdout).toBe("");
  expect((await from("latest", "--until-end")).stdout).toBe("");
});

test("tail --consumer goes on where it stopped", async () => {
  await send("st.consumer", "--count=5");
  const take = (...args: string[]) => tail("st.consumer", "--consumer=tester", "--format=raw", ...args);
  expect((await take("--limit=2")).stdout).toBe("event 1\nevent 2\n");
  expect((await take()).stdout).toBe("event 3\nevent 4\nevent 5\n");
  expect((await take()).stdout).toBe("");
});

test("tail --lane reads that lane only", async () => {
  await send("st.lane", "--payload=low", "--priority=low");
  await send("st.lane", "--payload=batch", "--priority=batch");
  expect((await tail("st.lane", "--lane=batch", "--format=raw")).stdout).toBe("batch\n");
});

test("tail, live, ends with 0 on SIGINT", async () => {
  const tailing = Bun.spawn([EXECUTABLE, "tail", "st.live", `--port=${server.tcpPort}`, "--format=raw"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const reader = tailing.stdout.getReader();
  // Live means from now on: only what is sent after the subscription stands is seen for sure.
  let text = "";
  const reading = reader.read().then(({ value }) => text += Buffer.from(value ?? []).toString());
  while (text === "") {
    await send("st.live", "--payload=here");
    await Promise.race([reading, Bun.sleep(20)]);
  }
  expect(text).toStartWith("here\n");
  tailing.kill("SIGINT");
  expect([await tailing.exited, await new Response(tailing.stderr).text()]).toEqual([0, ""]);
}, 20_000);

test("a reader of tail that goes away is no failure", async () => {
  await send("st.pipe", "--count=20000");
  const command =
    `'${EXECUTABLE}' tail st.pipe --port=${server.tcpPort} --from=earliest --format=raw | head -n 1`;
  const piped = Bun.spawn(["bash", "-c", `set -o pipefail; ${command}`], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  expect(await new Response(piped.stdout).text()).toBe("event 1\n");
  expect([await piped.exited, await new Response(piped.stderr).text()]).toEqual([0, ""]);
});

test("topics lists what was seen, the busiest first", async () => {
  await send("st.topics.a", "--count=3");
  await send("st.topics.b", "--count=7");
  const { stdout } = await runEsc(["topics", "st.topics.*", `--http-port=${server.httpPort}`, "--json"]);
  const topics = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  expect(topics).toEqual([
    { topic: "st.topics.b", lane: "transactional", events: 7, last_received_us: expect.any(Number) },
    { topic: "st.topics.a", lane: "transactional", events: 3, last_received_us: expect.any(Number) },
  ]);
});

test.each([
  [["send"], "required option '--topic <topic>'"],
  [["send", "--topic=a", "--priority=9"], "Expected 0 to 4"],
  [["send", "--topic=a", "file.txt"], 'Cannot send "file.txt"'],
  [["send", "--topic=a", "--payload=x", "--file=y"], "exclude each other"],
  [["send", "--topic=a", "--acks=maybe"], "Expected one of none, accepted, durable"],
  [["tail"], "missing required argument"],
  [["tail", ">.a"], '">" before its last token'],
  [["tail", "a", "--from=soon"], "Expected latest, earliest"],
  [["tail", "a", "--format=xml"], "Expected one of text, json, raw"],
  [["bench", "nothing"], 'There is no benchmark "nothing"'],
])("esc %j is a mistake of usage: status 2", async (args, message) => {
  const { status, stderr, stdout } = await runEsc(args);
  expect([status, stdout]).toEqual([2, ""]);
  expect(stderr).toContain(message);
});

test.each([
  [["send", "--topic=a", "--payload=x"], "--port"],
  [["tail", "a"], "--port"],
  [["topics"], "--http-port"],
])("esc %j fails with 69 and says what to do when nobody listens", async (args, flag) => {
  const port = await freePort();
  const { status, stderr } = await runEsc([...args, `${flag}=${port}`]);
  expect(status).toBe(69);
  expect(stderr).toContain(`Cannot connect to 127.0.0.1:${port}: nobody listens there`);
  expect(stderr).toContain("hint: Start a server with 'esc serve'");
});

test("send of a file that is not there fails with 1", async () => {
  const { status, stderr } = await send("a", "--file=/no/such/file");
  expect([status, stderr.split("\n")[0]]).toEqual([1, "error: Cannot read /no/such/file: no such file"]);
});

test.each(["send", "tail", "stress", "topics", "bench"])("esc %s --help has examples", async (command) => {
  const { status, stdout } = await runEsc([command, "--help"]);
  expect(status).toBe(0);
  expect(stdout).toContain("Examples:\n  $ ");
});

test("tail --filter passes what its expression is true for; what lacks a field does not pass", async () => {
  const lines = ['{"n":1}', '{"n":5}', "no JSON", '{"m":9}', '{"n":7}'].join("\n");
  await runEsc(["send", "--topic=st.filter", `--port=${server.tcpPort}`, "-"], { stdin: lines });
  const { stdout } = await tail(
    "st.filter",
    "--format=raw",
    "--filter",
    "payload.n > 3 && topic == 'st.filter'",
  );
  expect(stdout).toBe('{"n":5}\n{"n":7}\n');
  const refused = await tail("st.filter", "--filter", "payload.n >");
  expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining("'--filter <expression>'")]);
});

test(
  "tail --follow goes on where it stopped when the server comes back, in lanes that were silent before too",
  async () => {
    const port = await freePort();
    const config = { ingestion: { tcp: { host: "127.0.0.1", port } } };
    const first = await EscServer.start({ config });
    const following = Bun.spawn(
      [EXECUTABLE, "tail", "f.>", `--port=${port}`, "--follow", "--format=raw", "--limit=6"],
      { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    );
    const send = (topic: string, ...args: string[]) =>
      runEsc(["send", `--topic=${topic}`, `--port=${port}`, "--acks=durable", ...args]);
    // Until the subscription stands nothing is heard: events are sent until one is.
    const lines: string[] = [];
    const reading = (async () => {
      let text = "";
      for await (const chunk of following.stdout) {
        text += new TextDecoder().decode(chunk);
        lines.splice(0, lines.length, ...text.trimEnd().split("\n"));
      }
    })();
    while (lines.length === 0) await send("f.a", "--priority=medium", "--payload=spoke before");
    await first.kill();
    const second = await EscServer.start({ config, folder: first.folder });
    await send("f.b", "--priority=batch", "--count=6");
    await reading;
    expect(await following.exited).toBe(0);
    expect(lines).toHaveLength(6);
    // Everything of the lane that had sent nothing, from its first event on.
    const silent = lines.filter((line) => line !== "spoke before");
    expect(silent).toEqual(Array.from({ length: silent.length }, (_, index) => `event ${index + 1}`));
    expect(silent.length).toBeGreaterThan(0);
    await second.remove();
  },
  60_000,
);
