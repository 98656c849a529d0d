import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { loadConfigFile } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";
import { EscError } from "../../src/errors.ts";
import { TemporaryFolder } from "../support/temp.ts";
import { configOf, load, problemsOf, sourceOf } from "./loading.ts";

describe("defaults", () => {
  test("an empty file gives the listeners and the folder of the specification", () => {
    const { ingestion, http, grpc, data, insecure, shutdownTimeoutMs, dedup } = configOf("");
    expect([ingestion.tcp.host, ingestion.tcp.port]).toEqual(["127.0.0.1", 9000]);
    expect([ingestion.udp.host, ingestion.udp.port]).toEqual(["127.0.0.1", 9001]);
    expect([http.host, http.port]).toEqual(["127.0.0.1", 8080]);
    expect(grpc).toEqual({ enable: true, host: "127.0.0.1", port: 9200 });
    expect(data.dir).toBe("./data");
    expect([insecure, shutdownTimeoutMs]).toEqual([false, 10_000]);
    expect(dedup).toEqual({ windowMs: 3_600_000, maxIds: 1_000_000 });
    expect(ingestion.maxFrameBytes).toBe(1_048_576);
  });

  test("comments, empty sections and null keep the defaults", () => {
    const text = "# nothing\ningestion:\nhttp: ~\ndata: {dir: null}\nlanes:\n  realtime:\n";
    expect(configOf(text)).toEqual(configOf(""));
  });

  test("the result is frozen to its depth", () => {
    const config = configOf("topics: {a: HIGH}\nlanes: {audit: {topics: [x]}}\n");
    const isFrozen = (value: unknown): boolean =>
      typeof value !== "object" || value === null ||
      (Object.isFrozen(value) && Object.values(value).every(isFrozen));
    expect(isFrozen(config)).toBe(true);
  });
});

describe("values", () => {
  test("scalars mean what their key wants, whatever YAML would guess", () => {
    const config = configOf(
      'version: 1.0\napp_name: no\nhttp: {port: "8081"}\ninsecure: yes\ndata: {dir: 007}\n',
    );
    expect([config.version, config.appName, config.data.dir]).toEqual(["1.0", "no", "007"]);
    expect([config.http.port, config.insecure]).toEqual([8081, true]);
  });

  test("expressions are expanded in values of every kind", () => {
    const source = sourceOf({ environment: { PORT: "8081", ON: "true" }, files: { "dir.txt": "/data\n" } });
    const text = "http:\n  port: ${PORT}\ninsecure: ${ON}\ndata:\n  dir: ${file:dir.txt}/esc\n" +
      "shutdown_timeout: ${T:-3s}\n";
    const config = configOf(text, source);
    expect([config.http.port, config.insecure, config.data.dir, config.shutdownTimeoutMs])
      .toEqual([8081, true, "/data/esc", 3000]);
  });

  test("anchors and aliases are followed", () => {
    const config = configOf(
      "lanes:\n  realtime:\n    retention: &keep {max_age: 1d}\n  batch:\n    retention: *keep\n",
    );
    expect(config.lanes.map((lane) => lane.retention.maxAgeMs)).toEqual([
      86_400_000,
      604_800_000,
      86_400_000,
    ]);
  });

  test("queue sizes are rounded up to a power of two", () => {
    const config = configOf("ingestion: {queue_bytes: 3MB}\nlanes: {batch: {queue_bytes: 4194305}}\n");
    expect(config.ingestion.queueBytes).toBe(4_194_304);
    expect(config.lanes[2]?.queueBytes).toBe(8_388_608);
  });

  test("bufferSize raises the receive buffer, receive_buffer sets it", () => {
    const bytes = (udp: string) => configOf(`ingestion: {udp: {${udp}}}`).ingestion.udp.receiveBufferBytes;
    expect([bytes(""), bytes("bufferSize: 65536"), bytes("bufferSize: 8MiB")])
      .toEqual([4_194_304, 4_194_304, 8_388_608]);
    expect(bytes("bufferSize: 8MiB, receive_buffer: 1MiB")).toBe(1_048_576);
  });

  test("a bare number has the unit that its key names", () => {
    const { control } = configOf(
      "control: {health_check_interval_sec: 10, thresholds: {max_latency_ms: 50}}",
    );
    expect([control.healthCheckIntervalMs, control.thresholds.maxLatencyMs]).toEqual([10_000, 50]);
  });
});

describe("file sources", () => {
  test("a list is on, a single file in the original's form only with enable", () => {
    const single = "ingestion:\n  file:\n    path: /var/in.log\n    poll_interval_ms: 250\n";
    expect(configOf(single).ingestion.files).toEqual([]);
    expect(load(single).notices.map((notice) => [notice.line, notice.column, notice.message])).toEqual([
      [2, 3, 'ingestion.file is off: a single file needs "enable: true", as in the original engine'],
    ]);
    expect(configOf(`${single}    enable: true\n`).ingestion.files).toEqual([
      { name: "in.log", path: "/var/in.log", topic: "in", priority: 2, pollIntervalMs: 250 },
    ]);
    const list =
      "ingestion:\n  file:\n    - {path: a/x.log, topic: t, priority: CRITICAL, name: n, poll_interval: 2s}\n" +
      "    - {path: b, enable: false}\n";
    expect(configOf(list).ingestion.files).toEqual([
      { name: "n", path: "a/x.log", topic: "t", priority: 4, pollIntervalMs: 2000 },
    ]);
  });

  test("two files cannot share a name, and a file needs a path", () => {
    expect(problemsOf("ingestion:\n  file:\n    - path: a/x\n    - path: b/x\n    - name: y\n")).toEqual([
      '4:7: two files are named "x"; give one of them another name',
      "5:7: a file to follow needs a path",
    ]);
  });
});

describe("problems", () => {
  test("all are told at once, in the order of the file, each at its own place", () => {
    const text = `ingestion:
  tcp:
    prot: 9
    port: 99999
    enable: maybe
  udp: 5
lanes:
  realtime:
    priorities: [HIGH, CRITICAAL]
    overflow: drop_odl
    sync_interval: 100
dedup: {window: 5 fortnights}
log: {segment_bytes: lots}
port: 3
http: {host: 0.0.0.0}
`;
    expect(problemsOf(text)).toEqual([
      '3:5: unknown key "prot" in ingestion.tcp; did you mean "port"?',
      '4:11: ingestion.tcp.port must be a whole number from 0 to 65535, not "99999"',
      '5:13: ingestion.tcp.enable must be true or false, not "maybe"',
      "6:8: ingestion.udp must be a map of keys",
      '9:24: lanes.realtime.priorities[1] must be one of BATCH, LOW, MEDIUM, HIGH, CRITICAL or 0 to 4, not "CRITICAAL"; did you mean "CRITICAL"?',
      '10:15: lanes.realtime.overflow must be one of block, drop_old, drop_new, not "drop_odl"; did you mean "drop_old"?',
      '11:20: lanes.realtime.sync_interval must be a duration from 1ms to 1m such as 250ms, 5s, 2m, 1h, 7d, not "100": the unit is missing',
      '12:17: dedup.window must be a duration from 1ms to 36500d such as 250ms, 5s, 2m, 1h, 7d, not "5 fortnights"',
      '13:22: log.segment_bytes must be a size from 64KiB to 2GiB such as 512, 64KiB, 1MiB, 10GiB, not "lots"',
      '14:1: unknown key "port"',
      '15:14: http.host "0.0.0.0" is open to the network without auth; listen on 127.0.0.1, or set "insecure: true" if that is meant',
    ]);
  });

  test("numbers are taken one below, at and one above each limit", () => {
    const at = (value: string) => problemsOf(`http: {port: ${value}}`).length;
    expect(["-1", "0", "65535", "65536", "1.5", "0x10", "''"].map(at)).toEqual([1, 0, 0, 1, 1, 1, 1]);
    const shards = (value: number) => problemsOf(`router: {shards: ${value}}`).length;
    expect([0, 1, 64, 65].map(shards)).toEqual([1, 0, 0, 1]);
  });

  test("a repeated key names its first place", () => {
    expect(problemsOf("http:\n  port: 1\n  host: localhost\n  port: 2\n")).toEqual([
      '4:3: key "port" is repeated, first set at line 2',
    ]);
  });

  test("tabs and broken YAML are told by place", () => {
    expect(problemsOf("http:\n\tport: 1\n")).toEqual(["2:1: tabs cannot indent YAML; use spaces"]);
    expect(problemsOf("http: {port: 1\n")[0]).toStartWith("2:1: ");
    expect(problemsOf("a: 1\n---\nb: 2\n")).toEqual([
      '2:1: only one document is allowed: remove the line "---"',
    ]);
    expect(problemsOf("http: {port: ${PORT:-1}}\n")[0]).toContain("into quotes");
  });

  test("a file that is no map is refused", () => {
    for (const text of ["[1, 2]", "text", "42"]) {
      expect(problemsOf(text)).toEqual(["1:1: the file must be a map of keys"]);
    }
  });

  test("prototype keys are unknown keys and pollute nothing", () => {
    const problems = problemsOf(
      "__proto__: {insecure: true}\nhttp: {__proto__: {port: 1}}\nconstructor: 1\n",
    );
    expect(problems.map((problem) => problem.split(";")[0])).toEqual([
      '1:1: unknown key "__proto__"',
      '2:8: unknown key "__proto__" in http',
      '3:1: unknown key "constructor"',
    ]);
    expect("insecure" in {}).toBe(false);
  });

  test("aliases that grow without end are refused quickly", () => {
    const bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let level = 1; level < 9; level++) {
      bomb.push(`a${level}: &a${level} [${Array(10).fill(`*a${level - 1}`).join(", ")}]`);
    }
    expect(problemsOf(bomb.join("\n")).some((problem) => problem.includes("has more than 100000 values")))
      .toBe(true);
    expect(problemsOf("x: &a [*a]\n").some((problem) => problem.includes("nested deeper than 32"))).toBe(
      true,
    );
  });

  test("a text beyond the limit is refused", () => {
    expect(problemsOf(`#${"x".repeat(4 * 1024 * 1024 - 1)}`)).toEqual([]);
    expect(problemsOf(`#${"x".repeat(4 * 1024 * 1024)}`)).toEqual([
      "1:1: a configuration has at most 4194304 characters",
    ]);
  });

  test("a problem never quotes a secret", () => {
    const source = sourceOf({ files: { pw: "hunter2\n" } });
    const text = "http: {port: '${file:pw}'}\ntopics: {a: '${file:pw}'}\ngrpc: {host: '${file:pw}'}\n";
    expect(problemsOf(text, source)).toEqual([
      "1:14: http.port: the content of ${file:pw} does not fit here",
      "2:13: topics.a: the content of ${file:pw} does not fit here",
      "3:14: grpc.host: the content of ${file:pw} does not fit here",
    ]);
  });

  test("the error carries the code, the exit status and every place", () => {
    try {
      load("foo: 1\nhttp: {port: x}\n");
      throw new Error("loaded");
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      if (!(error instanceof ConfigError)) throw error;
      expect([error.code, error.exitStatus]).toEqual(["CONFIG_INVALID", 78]);
      expect(error.message).toStartWith("Configuration c.yaml has 2 problems\nc.yaml:1:1: unknown key");
      expect(error.problems.map(({ file, line, column }) => [file, line, column])).toEqual([
        ["c.yaml", 1, 1],
        ["c.yaml", 2, 14],
      ]);
    }
  });

  test("loadConfigFile() refuses a file that cannot be read, or is not UTF-8", () => {
    const folder = new TemporaryFolder("config");
    const latin = folder.path("latin.yaml");
    writeFileSync(latin, Buffer.from("app_name: caf\xe9\n", "latin1"));
    for (const path of ["/nonexistent/c.yaml", latin]) {
      try {
        loadConfigFile(path, {});
        throw new Error("loaded");
      } catch (error) {
        if (!(error instanceof EscError)) throw error;
        expect([error.code, error.message]).toEqual(["CONFIG_INVALID", `Cannot read configuration ${path}`]);
      }
    }
    folder.remove();
  });
});

describe("keys that decide together", () => {
  test("an address beyond loopback needs insecure", () => {
    for (
      const section of [
        "ingestion: {tcp: {host: 0.0.0.0}}",
        "ingestion: {udp: {host: '::'}}",
        "grpc: {host: h}",
      ]
    ) {
      expect(problemsOf(section)).toHaveLength(1);
      expect(problemsOf(`${section}\ninsecure: true\n`)).toEqual([]);
    }
    expect(problemsOf("ingestion: {tcp: {host: 0.0.0.0, enable: false}}")).toEqual([]);
    for (const host of ["127.0.0.1", "127.1.2.3", "'::1'", "localhost"]) {
      expect(problemsOf(`http: {host: ${host}}`)).toEqual([]);
    }
  });

  test("two listeners cannot share a port, unless it is 0 or the protocols differ", () => {
    expect(problemsOf("http: {port: 9000}")).toEqual(["1:14: http.port 9000 is taken by ingestion.tcp"]);
    expect(problemsOf("http: {port: 9001}")).toEqual([]);
    expect(problemsOf("http: {port: 0}\ngrpc: {port: 0}\ningestion: {tcp: {port: 0}}")).toEqual([]);
  });

  test("a queue that is too small for the largest frame is made larger, which a notice says", () => {
    const queues = (text: string) => {
      const { config, notices } = load(text);
      return [
        config.ingestion.queueBytes,
        ...config.lanes.map(({ queueBytes }) => queueBytes),
        ...notices.map(({ message }) => message),
      ];
    };
    const mib = 1 << 20;
    expect(queues("lanes: {batch: {queue_bytes: 64KiB}}")).toEqual([
      4 * mib,
      4 * mib,
      4 * mib,
      4 * mib,
      "lanes.batch.queue_bytes becomes 4MiB: a queue holds 4 frames of ingestion.max_frame_bytes",
    ]);
    expect(queues("ingestion: {max_frame_bytes: 64KiB}\nlanes: {batch: {queue_bytes: 256KiB}}")).toEqual([
      4 * mib,
      4 * mib,
      4 * mib,
      mib / 4,
    ]);
    // Nobody has set a queue here: it only follows.
    expect(queues("ingestion: {max_frame_bytes: 10MiB}")).toEqual([64 * mib, 64 * mib, 64 * mib, 64 * mib]);
  });

  test("auth that nobody can pass is refused", () => {
    expect(problemsOf("auth: {enabled: true}")).toEqual([
      "1:17: auth is on, and nobody could get in: auth needs tokens, certificates or jwt",
    ]);
  });

  test("pressure levels are in order", () => {
    expect(problemsOf("router: {pressure_high: 0.9, pressure_critical: 0.9}")).toEqual([]);
    expect(problemsOf("router: {pressure_high: 0.91, pressure_critical: 0.9}")).toEqual([
      "1:25: router.pressure_high must not be above router.pressure_critical",
    ]);
  });

  test("a wrong key does not cause problems elsewhere", () => {
    expect(problemsOf("lanes: {audit: {priorities: [HIHG]}, realtime: {priorities: [CRITICAL]}}").length)
      .toBe(1);
  });
});
