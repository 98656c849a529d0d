/** `esc send`: events from the command line, a file or stdin to a server, in constant memory. */
import type { Command } from "commander";
import type { Refusal } from "../src/client/connection.ts";
import { EscError } from "../src/errors.ts";
import type { OutgoingEvent } from "../src/event/encode.ts";
import { ID_BYTES_MAX, PRIORITY_MEDIUM } from "../src/event/frame.ts";
import type { AcksName } from "../src/event/run.ts";
import { type CommandContext, wholeNumber } from "./command.ts";
import { acksName, headerPair, priorityNumber } from "./event-options.ts";
import type { Output } from "./output.ts";
import { Pacer } from "./pacer.ts";
import { linePayloads, type Payloads, repeatedPayload } from "./payloads.ts";
import { openTcpTarget, openUdpTarget, payloadBytesMax, type SendTarget } from "./send-target.ts";
import { addAddressOptions, TCP_PORT_DEFAULT, UDP_PORT_DEFAULT } from "./server-options.ts";

interface SendOptions {
  readonly host: string;
  readonly port?: number;
  readonly udp?: boolean;
  readonly topic: string;
  readonly priority: number;
  readonly count?: number;
  readonly payload?: string;
  readonly file?: string;
  readonly idPrefix?: string;
  readonly key?: string;
  readonly header?: readonly (readonly [string, string])[];
  readonly rate?: number;
  readonly acks: AcksName;
}

const EXAMPLES = `
Without --payload, --file or "-", lines are read from stdin; or, with --count, made up: "event 1", "event 2", ...
A line too long for an event is left out and counts as an error. With --id-prefix a broken connection is opened
again and what was not answered is sent again: every event is stored once.

Examples:
  $ esc send --topic orders.new --payload '{"id":1}' --priority high
  $ esc send --topic market.btcusdt --file messages.txt
  $ journalctl -o json -f | esc send --topic logs.system --acks none -
  $ esc send --topic jobs --count 1000 --id-prefix job- --rate 100`;

/** Leaves 16 digits for the number of the event. */
const ID_PREFIX_BYTES_MAX = ID_BYTES_MAX - 16;
/** Refusals shown one by one; the rest is only counted. */
const REFUSALS_SHOWN_MAX = 5;
/** Sending gives way to signals, answers and the progress line after so many events. */
const TURN_COUNT = 2_048;
const PROGRESS_MS = 250;
/** How long a server may be away while message ids make it safe to try again. */
const GIVE_UP_MS = 30_000;

/** Registers `esc send`. */
export function register(program: Command, context: CommandContext): void {
  const command = program.command("send")
    .summary("send events to a server")
    .description("Send events to a server: one, many alike, or one for each line of a file or of stdin.")
    .argument("[source]", '"-" reads lines from stdin')
    .requiredOption("--topic <topic>", "topic of the events");
  addAddressOptions(command, `server's port (default: ${TCP_PORT_DEFAULT}, with --udp ${UDP_PORT_DEFAULT})`)
    .option("--udp", "send datagrams: nothing is acknowledged, and what is lost stays lost")
    .option(
      "--priority <priority>",
      "0 to 4, or BATCH, LOW, MEDIUM, HIGH, CRITICAL",
      priorityNumber,
      PRIORITY_MEDIUM,
    )
    .option("--count <n>", "send the payload n times; of a file, at most n lines", wholeNumber(1))
    .option("--payload <text>", "payload of the event")
    .option("--file <path>", "one event for each line")
    .option("--id-prefix <text>", "message id of event n is <text>n: sent twice, it is stored once")
    .option("--key <text>", "key of the events: same key, same order")
    .option("--header <name=value>", "add a header; may be repeated", headerPair)
    .option("--rate <n>", "at most n events a second", wholeNumber(1))
    .option("--acks <what>", "wait for none, accepted or durable", acksName, "durable")
    .addHelpText("after", EXAMPLES)
    .action(async (source: string | undefined, options: SendOptions) => {
      checkSources(source, options);
      const target = await openTarget(options, context.output);
      try {
        const sending = new Sending(target, options, context);
        await sending.run(await openPayloads(source, options, sending.lineBytesMax));
      } catch (error) {
        target.abort();
        throw error;
      }
    });
}

function checkSources(source: string | undefined, { payload, file }: SendOptions): void {
  if (source !== undefined && source !== "-") {
    throw new EscError("USAGE", `Cannot send "${source}"`, {
      hint: 'Use --payload <text>, --file <path>, or "-" for stdin',
    });
  }
  if ([source, payload, file].filter((given) => given !== undefined).length > 1) {
    throw new EscError("USAGE", 'Cannot send from two sources: --payload, --file and "-" exclude each other');
  }
}

async function openPayloads(
  source: string | undefined,
  options: SendOptions,
  lineBytesMax: number,
): Promise<Payloads> {
  const { payload, file, count } = options;
  if (file !== undefined) return await linePayloads(file, lineBytesMax);
  if (payload !== undefined) return repeatedPayload(payload, count ?? 1);
  if (source === undefined && count !== undefined) return repeatedPayload(undefined, count);
  return await linePayloads(undefined, lineBytesMax);
}

async function openTarget(options: SendOptions, output: Output): Promise<SendTarget> {
  const { host, udp, acks, idPrefix } = options;
  if (udp === true) return await openUdpTarget({ host, port: options.port ?? UDP_PORT_DEFAULT });
  let shownCount = 0;
  return await openTcpTarget({ host, port: options.port ?? TCP_PORT_DEFAULT }, {
    acks,
    producer: "esc send",
    onRefused: (refusal: Refusal) => {
      if (++shownCount <= REFUSALS_SHOWN_MAX) output.note(refusalText(refusal));
    },
    ...(idPrefix === undefined ? {} : {
      reconnect: { giveUpMs: GIVE_UP_MS },
      onDisconnected: (error, delayMs) => output.note(`${error.message}; trying again in ${delayMs} ms`),
    }),
  });
}

function refusalText({ seq, count, code, message }: Refusal): string {
  if (seq === 0) return `server: ${code}: ${message}`;
  const events = count === 1 ? `event ${seq}` : `events ${seq} to ${seq + count - 1}`;
  return `server refused ${events}: ${code}: ${message}`;
}

/** One run of `esc send`. */
class Sending {
  /** Longest line that still makes an event. */
  readonly lineBytesMax: number;
  readonly #target: SendTarget;
  readonly #options: SendOptions;
  readonly #context: CommandContext;
  readonly #startMs = performance.now();
  readonly #event: { -readonly [K in keyof OutgoingEvent]: OutgoingEvent[K] };
  #sentCount = 0;
  #payloadBytes = 0;
  #progressMs = 0;

  constructor(target: SendTarget, options: SendOptions, context: CommandContext) {
    this.#target = target;
    this.#options = options;
    this.#context = context;
    const { topic, priority, key, header, idPrefix } = options;
    this.#event = { topic, priority, payload: "", key, headers: header };
    if (Buffer.byteLength(idPrefix ?? "") > ID_PREFIX_BYTES_MAX) {
      throw new EscError("USAGE", `--id-prefix is longer than ${ID_PREFIX_BYTES_MAX} bytes`);
    }
    // The longest message id there can be, so that no line turns out too long later.
    const id = idPrefix === undefined ? undefined : "0".repeat(ID_BYTES_MAX);
    this.lineBytesMax = payloadBytesMax({ ...this.#event, id }, target.bodyBytesMax);
  }

  /** Sends everything and prints the account. */
  async run(payloads: Payloads): Promise<void> {
    const interrupted = this.#context.interrupted();
    interrupted.addEventListener("abort", () => payloads.stop());
    try {
      await this.#sendAll(payloads, interrupted);
      await this.#target.finish();
    } catch (error) {
      if (this.#sentCount > 0) this.#report(payloads.tooLongCount);
      throw error;
    }
    if (payloads.tooLongCount > 0) {
      this.#context.output.note(`${payloads.tooLongCount} lines are longer than ${this.lineBytesMax} bytes`);
    }
    const errorCount = this.#report(payloads.tooLongCount);
    if (errorCount > 0 || interrupted.aborted) process.exitCode = 1;
  }

  async #sendAll(payloads: Payloads, interrupted: AbortSignal): Promise<void> {
    const { count = Infinity, rate = Infinity, idPrefix } = this.#options;
    const event = this.#event;
    const pacer = new Pacer(rate, performance.now());
    while (this.#sentCount < count && !interrupted.aborted) {
      const payload = payloads.next();
      if (payload === undefined) {
        if (await payloads.more()) continue;
        break;
      }
      if (rate !== Infinity) await this.#keepPace(pacer, interrupted);
      event.payload = payload;
      if (idPrefix !== undefined) event.id = `${idPrefix}${this.#sentCount + 1}`;
      while (!this.#target.publish(event)) await this.#target.room();
      this.#payloadBytes += payload.length;
      if (++this.#sentCount % TURN_COUNT === 0) await this.#giveWay();
    }
  }

  async #keepPace(pacer: Pacer, interrupted: AbortSignal): Promise<void> {
    while (pacer.due(performance.now()) < 1 && !interrupted.aborted) {
      await Bun.sleep(Math.max(1, pacer.waitMs(performance.now())));
    }
    pacer.take(1);
  }

  async #giveWay(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.#progressMs >= PROGRESS_MS) {
      this.#progressMs = nowMs;
      const acknowledged = this.#target.acknowledgedCount();
      const answers = acknowledged === undefined ? "" : `, ${acknowledged.toLocaleString("en")} acknowledged`;
      this.#context.output.progress(`${this.#sentCount.toLocaleString("en")} sent${answers}`);
    }
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  /** Prints the account. @returns How many events were not taken. */
  #report(tooLongCount: number): number {
    const seconds = (performance.now() - this.#startMs) / 1000;
    const errors = this.#target.refusedCount() + tooLongCount;
    const account = {
      sent: this.#sentCount,
      acknowledged: this.#target.acknowledgedCount() ?? null,
      errors,
      payload_bytes: this.#payloadBytes,
      seconds: Number(seconds.toFixed(6)),
      events_per_s: Math.round(this.#sentCount / seconds),
    };
    this.#context.output.result(account, () => {
      const number = (value: number) => value.toLocaleString("en");
      const acknowledged = account.acknowledged === null
        ? ""
        : `acknowledged ${number(account.acknowledged)}, `;
      return `sent ${number(account.sent)}, ${acknowledged}errors ${number(errors)} ` +
        `in ${seconds.toFixed(2)} s (${number(account.events_per_s)} events/s)`;
    });
    return errors;
  }
}
