/** `esc generate`: streams of made-up events, the same for the same seed, to a server, a file or stdout. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { closeSync, openSync, writeSync } from "node:fs";
import process from "node:process";
import { EscError } from "../src/errors.ts";
import { type CommandContext, wholeNumber } from "./command.ts";
import type { GeneratedEvent, NextEvent } from "./generate/preset.ts";
import { PRESET_NAMES, type PresetName, PRESETS } from "./generate/presets.ts";
import { Random } from "./generate/random.ts";
import { Pacer } from "./pacer.ts";
import { openTcpTarget } from "./send-target.ts";
import { addAddressOptions, TCP_PORT_DEFAULT } from "./server-options.ts";

interface GenerateOptions {
  readonly preset: PresetName;
  readonly seed: number;
  readonly rate: number;
  readonly count?: number;
  readonly start?: number;
  readonly wait: boolean;
  readonly out?: string;
  readonly idPrefix?: string;
  readonly host: string;
  readonly port?: number;
}

const EXAMPLES = `
Without --out, events go to a server at --rate until interrupted. Written, an event is a line that
POST /api/v1/publish and \`esc handlers test\` take; event times begin at --start, by default the first of 2025 when
written, and such that they end now when sent. The same seed, rate, count and start give the same bytes.

Examples:
  $ esc serve --config config/examples/iot.yaml
  $ esc generate --preset iot --rate 200
  $ esc generate --preset ecommerce --seed 7 --count 100000 --out events.jsonl
  $ esc generate --preset gaming --count 1000 -`;

const RATE_DEFAULT = 1000;
const WRITTEN_COUNT_DEFAULT = 1000;
const WRITTEN_START_US = Date.UTC(2025, 0, 1) * 1000;
const CHUNK_BYTES = 64 * 1024;
/** Sending gives way to answers and signals after so many events. */
const TURN_COUNT = 1024;
const PROGRESS_MS = 250;

/** Registers `esc generate`. */
export function register(program: Command, context: CommandContext): void {
  const command = program.command("generate")
    .summary("make up events: sensors, a shop, a market, a game")
    .description(
      "Make up realistic events for demonstrations, tests and measurements, always the same for a seed.",
    )
    .argument("[target]", '"-" writes to stdout')
    .addOption(
      new Option("--preset <name>", "which world").choices([...PRESET_NAMES]).makeOptionMandatory(),
    )
    .option("--seed <n>", "which of its streams", wholeNumber(0, 0xffff_ffff), 1)
    .option("--rate <n>", "events a second, also of event time", wholeNumber(1, 10_000_000), RATE_DEFAULT)
    .option(
      "--count <n>",
      `how many (default: without end when sent, else ${WRITTEN_COUNT_DEFAULT})`,
      wholeNumber(1),
    )
    .option("--start <time>", "event time of the first (ISO 8601)", isoTimeUs)
    .option("--no-wait", "send as fast as the server takes; event times are as far apart as --rate says")
    .option("--out <file>", 'write to a file; "-" is stdout')
    .option("--id-prefix <text>", "message id of event n is <text>n: sent twice, it is stored once");
  addAddressOptions(command, `server's port (default: ${TCP_PORT_DEFAULT})`)
    .addHelpText("after", EXAMPLES)
    .action(async (target: string | undefined, options: GenerateOptions) => {
      if (target !== undefined && target !== "-") {
        throw new EscError("USAGE", `Cannot write to "${target}"`, {
          hint: "Use --out <file>, or - for stdout",
        });
      }
      const out = target ?? options.out;
      if (out === undefined) await send(options, context);
      else write(out, options, context);
    });
}

function isoTimeUs(text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError("Expected a time such as 2025-01-01T12:00:00Z.");
  return ms * 1000;
}

/** A stream of events with their times. */
class Stream {
  readonly #next: NextEvent;
  readonly #startUs: number;
  readonly #rate: number;
  count = 0;

  constructor({ preset, seed, rate }: GenerateOptions, startUs: number) {
    this.#next = PRESETS[preset](new Random(seed));
    this.#startUs = startUs;
    this.#rate = rate;
  }

  next(): GeneratedEvent & { readonly timeUs: number } {
    // From the number, not step by step: errors do not add up.
    const timeUs = this.#startUs + Math.floor((this.count++ * 1_000_000) / this.#rate);
    return { ...this.#next(timeUs), timeUs };
  }
}

function write(out: string, options: GenerateOptions, { output }: CommandContext): void {
  const { count = WRITTEN_COUNT_DEFAULT, idPrefix, start = WRITTEN_START_US } = options;
  const stream = new Stream(options, start);
  const file = out === "-" ? undefined : openOut(out);
  let lines = "";
  const flush = () => {
    const bytes = Buffer.from(lines);
    lines = "";
    if (file === undefined) output.bytes(bytes);
    else for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
  };
  while (stream.count < count) {
    const { topic, priority, key, timeUs, payload } = stream.next();
    const id = idPrefix === undefined ? {} : { id: `${idPrefix}${stream.count}` };
    lines += `${JSON.stringify({ topic, priority, key, ...id, time_us: timeUs, payload })}\n`;
    if (lines.length >= CHUNK_BYTES) flush();
  }
  flush();
  if (file === undefined) return;
  closeSync(file);
  output.result({ file: out, events: count }, () => `${count.toLocaleString("en")} events in ${out}`);
}

function openOut(path: string): number {
  try {
    return openSync(path, "w");
  } catch (cause) {
    throw new EscError("USAGE", `Cannot write ${path}`, { cause });
  }
}

async function send(options: GenerateOptions, { output, interrupted }: CommandContext): Promise<void> {
  const { host, port = TCP_PORT_DEFAULT, rate, count = Infinity, wait, idPrefix } = options;
  const isFast = !wait && count !== Infinity;
  const nowUs = Date.now() * 1000;
  const stream = new Stream(
    options,
    options.start ?? (isFast ? nowUs - Math.floor((count * 1e6) / rate) : nowUs),
  );
  const target = await openTcpTarget({ host, port }, { acks: "durable", producer: "esc generate" });
  const signal = interrupted();
  const pacer = new Pacer(wait ? rate : Infinity, performance.now());
  const startMs = performance.now();
  let progressMs = startMs;
  try {
    while (stream.count < count && !signal.aborted) {
      while (pacer.due(performance.now()) < 1 && !signal.aborted) {
        await Bun.sleep(Math.max(1, pacer.waitMs(performance.now())));
      }
      pacer.take(1);
      const event = stream.next();
      const whole = {
        ...event,
        payload: JSON.stringify(event.payload),
        ...(idPrefix === undefined ? {} : { id: `${idPrefix}${stream.count}` }),
      };
      while (!target.publish(whole)) await target.room();
      if (stream.count % TURN_COUNT === 0) await new Promise<void>((resolve) => setImmediate(resolve));
      const nowMs = performance.now();
      if (nowMs - progressMs < PROGRESS_MS) continue;
      progressMs = nowMs;
      output.progress(`${stream.count.toLocaleString("en")} sent`);
    }
    await target.finish();
  } catch (error) {
    target.abort();
    throw error;
  }
  const seconds = (performance.now() - startMs) / 1000;
  const account = {
    sent: stream.count,
    acknowledged: target.acknowledgedCount() ?? 0,
    errors: target.refusedCount(),
    seconds: Number(seconds.toFixed(3)),
  };
  output.result(
    account,
    () =>
      `sent ${account.sent.toLocaleString("en")}, acknowledged ${
        account.acknowledged.toLocaleString("en")
      }, ` +
      `errors ${account.errors} in ${seconds.toFixed(2)} s`,
  );
  if (account.errors > 0) process.exitCode = 1;
}
