/**
 * How each server is started and spoken to: as few bytes as its protocol allows, encoded beforehand, so that the
 * server and not the client is what is measured.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeFrame } from "../src/event/encode.ts";
import type { Durability } from "./rivals.ts";

/** Reads what a server sends. */
export interface Answers {
  /** @returns What is wrong, if the server refuses something. */
  take(chunk: Buffer): string | undefined;
  /** The greeting is over. */
  readonly isReady: boolean;
  /** Messages answered for. */
  readonly count: number;
  /** The answer to `finish` has come. */
  readonly isFinished: boolean;
}

export interface Dialect {
  readonly server: string;
  readonly settings: string;
  readonly durability: Durability;
  /** Whether messages are answered for; otherwise the answer to `finish` says that all before it were read. */
  readonly isAnswering: boolean;
  readonly hello: Uint8Array;
  readonly message: Uint8Array;
  readonly finish: Uint8Array;
  command(folder: string, port: number): readonly string[];
  answers(): Answers;
}

const PAYLOAD = "x".repeat(128);
const TOPIC = "bench.vs";
const NOTHING = new Uint8Array(0);

/** Every server in every way it is run; esc first. @param esc How to run esc. */
export function dialects(esc: readonly string[]): readonly Dialect[] {
  return [
    escDialect(esc, "none"),
    escDialect(esc, "fsync"),
    natsCore(),
    natsJetStream(),
    redis("no", "page cache"),
    redis("always", "fsync"),
    mosquitto(),
  ];
}

function control(opcode: number, value: string): Buffer {
  const frame = Buffer.alloc(6 + Buffer.byteLength(value));
  frame.writeUInt32BE(frame.length - 4);
  frame[4] = 0x20;
  frame[5] = opcode;
  frame.write(value, 6);
  return frame;
}

/** With acks none as NATS core: answered is what was read. `accepted` would say no more about durability. */
function escDialect(esc: readonly string[], durability: "none" | "fsync"): Dialect {
  const isSynced = durability === "fsync";
  const acks = isSynced ? "durable" : "none";
  return {
    server: "esc",
    settings: `acks ${acks}, lanes' durability ${durability}`,
    durability: isSynced ? "fsync" : "memory",
    isAnswering: isSynced,
    hello: control(1, JSON.stringify({ acks })),
    message: encodeFrame({ topic: TOPIC, priority: 2, payload: PAYLOAD }),
    finish: control(8, "end"),
    command: (folder, port) => {
      if (folder === "") return esc;
      const lanes = Object.fromEntries(
        ["realtime", "transactional", "batch"].map((lane) => [lane, { durability }]),
      );
      const anyPort = { host: "127.0.0.1", port: 0 };
      const config = {
        ingestion: { tcp: { host: "127.0.0.1", port }, udp: { enable: false } },
        http: anyPort,
        grpc: { enable: false },
        data: { dir: join(folder, "data") },
        lanes,
      };
      writeFileSync(join(folder, "config.yaml"), JSON.stringify(config));
      return [...esc, "serve", "--config", join(folder, "config.yaml")];
    },
    answers: () => new EscAnswers(),
  };
}

/** Frames with a length before them: WELCOME, then cumulative ACKs, or a PONG at the end. */
class EscAnswers implements Answers {
  isReady = false;
  count = 0;
  isFinished = false;
  #rest: Buffer = Buffer.alloc(0);

  take(chunk: Buffer): string | undefined {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (; at + 4 <= bytes.length; at += 4 + bytes.readUInt32BE(at)) {
      if (at + 4 + bytes.readUInt32BE(at) > bytes.length) break;
      const opcode = bytes[at + 5];
      if (opcode === 2) this.isReady = true;
      if (opcode === 3) this.count = Number(bytes.readBigUInt64BE(at + 6));
      if (opcode === 9) this.isFinished = true;
      if (opcode === 4) return bytes.toString("utf8", at + 6, at + 4 + bytes.readUInt32BE(at));
    }
    this.#rest = bytes.subarray(at);
    return undefined;
  }
}

/** Counts how often one byte string comes; answers are told apart by it, wherever chunks are cut. */
class CountedAnswers implements Answers {
  isReady = false;
  count = 0;
  isFinished = false;
  readonly #ready: string;
  readonly #answer: string;
  readonly #finished: string;
  readonly #error: string;
  #tail = "";

  constructor(texts: { ready: string; answer: string; finished: string; error: string }) {
    this.#ready = texts.ready;
    this.#answer = texts.answer;
    this.#finished = texts.finished;
    this.#error = texts.error;
  }

  take(chunk: Buffer): string | undefined {
    const text = this.#tail + chunk.toString("latin1");
    const errorAt = this.#error === "" ? -1 : text.indexOf(this.#error);
    if (errorAt >= 0) return text.slice(errorAt, errorAt + 200);
    let from = 0;
    if (!this.isReady) {
      const at = text.indexOf(this.#ready);
      if (at < 0) return this.#keep(text, 0);
      this.isReady = true;
      from = at + this.#ready.length;
    }
    if (this.#answer !== "") {
      for (let at = text.indexOf(this.#answer, from); at >= 0; at = text.indexOf(this.#answer, from)) {
        this.count++;
        from = at + this.#answer.length;
      }
    } else if (text.indexOf(this.#finished, from) >= 0) {
      this.isFinished = true;
    }
    return this.#keep(text, from);
  }

  /** The last bytes may be the beginning of what is looked for. */
  #keep(text: string, from: number): undefined {
    const longest = Math.max(
      this.#ready.length,
      this.#answer.length,
      this.#finished.length,
      this.#error.length,
    );
    this.#tail = text.slice(Math.max(from, text.length - longest + 1));
    return undefined;
  }
}

function nats(folder: string, port: number, args: readonly string[]): readonly string[] {
  return ["nats-server", "-a", "127.0.0.1", "-p", String(port), ...(folder === "" ? [] : args)];
}

const NATS_CONNECT = 'CONNECT {"verbose":false,"pedantic":false}\r\n';

function natsCore(): Dialect {
  return {
    server: "nats",
    settings: "core, nobody subscribed: read and discarded",
    durability: "memory",
    isAnswering: false,
    hello: Buffer.from(`${NATS_CONNECT}PING\r\n`),
    message: Buffer.from(`PUB ${TOPIC} ${PAYLOAD.length}\r\n${PAYLOAD}\r\n`),
    finish: Buffer.from("PING\r\n"),
    command: (folder, port) => nats(folder, port, []),
    answers: () => new CountedAnswers({ ready: "PONG\r\n", answer: "", finished: "PONG\r\n", error: "-ERR" }),
  };
}

function natsJetStream(): Dialect {
  const stream = JSON.stringify({ name: "BENCH", subjects: ["bench.>"], storage: "file", num_replicas: 1 });
  const create =
    `SUB inbox.* 1\r\nPUB $JS.API.STREAM.CREATE.BENCH inbox.made ${stream.length}\r\n${stream}\r\n`;
  return {
    server: "nats",
    settings: "JetStream on files, its sync interval of 2 min",
    durability: "page cache",
    isAnswering: true,
    hello: Buffer.from(`${NATS_CONNECT}${create}`),
    message: Buffer.from(`PUB ${TOPIC} inbox.a ${PAYLOAD.length}\r\n${PAYLOAD}\r\n`),
    finish: NOTHING,
    command: (folder, port) => nats(folder, port, ["-js", "-sd", join(folder, "store")]),
    answers: () =>
      new CountedAnswers({ ready: '"did_create":', answer: '"seq":', finished: "", error: '"error":' }),
  };
}

function redis(appendfsync: "no" | "always", durability: Durability): Dialect {
  const words = ["XADD", "bench", "*", "p", PAYLOAD];
  const message = `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;
  return {
    server: "redis",
    settings: `stream, appendonly yes, appendfsync ${appendfsync}`,
    durability,
    isAnswering: true,
    // A stream that grew from round to round would measure its memory.
    hello: Buffer.from("*2\r\n$3\r\nDEL\r\n$5\r\nbench\r\n"),
    message: Buffer.from(message),
    finish: NOTHING,
    command: (folder, port) => [
      "redis-server",
      ...["--bind", "127.0.0.1", "--port", String(port), "--dir", folder, "--save", ""],
      ...["--appendonly", "yes", "--appendfsync", appendfsync],
    ],
    answers: () => new CountedAnswers({ ready: ":", answer: "$", finished: "", error: "-ERR" }),
  };
}

function mosquitto(): Dialect {
  const topic = Buffer.from(TOPIC);
  const length = 2 + topic.length + PAYLOAD.length;
  return {
    server: "mosquitto",
    settings: "MQTT QoS 0, nobody subscribed: discarded",
    durability: "memory",
    isAnswering: false,
    // CONNECT of MQTT 3.1.1, clean session, keep-alive 60 s, client id "b".
    hello: Buffer.from([0x10, 13, 0, 4, ...Buffer.from("MQTT"), 4, 2, 0, 60, 0, 1, 0x62]),
    message: Buffer.concat([
      Buffer.from([0x30, (length & 0x7f) | 0x80, length >> 7, 0, topic.length]),
      topic,
      Buffer.from(PAYLOAD),
    ]),
    finish: Buffer.from([0xc0, 0]),
    command: (_folder, port) => ["mosquitto", "-p", String(port)],
    answers: () => new CountedAnswers({ ready: "\x20\x02\0\0", answer: "", finished: "\xd0\0", error: "" }),
  };
}
