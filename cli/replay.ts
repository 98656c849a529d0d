/** `esc replay`: recordings of venues, and events of the log, once more: at the recorded pace, faster, or at once. */
import type { Command } from "commander";
import { EscError } from "../src/errors.ts";
import type { OutgoingEvent } from "../src/event/encode.ts";
import { patternProblem } from "../src/event/topic.ts";
import type { RecordedVenueName } from "../src/ingest/feeds/recording.ts";
import type { FeedSpec } from "../src/ingest/feeds/spec.ts";
import type { CommandContext } from "./command.ts";
import type { ReplayOutput } from "./replay-output.ts";
import { addRecordingOptions, type RecordingFlags } from "./recording-options.ts";
import { addAddressOptions, addHttpPortOption, getJson, TCP_PORT_DEFAULT } from "./server-options.ts";

interface ReplayFlags extends RecordingFlags {
  readonly publish?: boolean;
  readonly profileRow?: string;
  readonly vpinBucket?: string;
  readonly sessionStart?: string;
  readonly output?: string;
  readonly state?: string;
  readonly host: string;
  readonly port?: number;
}

interface LogFlags {
  readonly host: string;
  readonly httpPort: number;
  readonly speed: number;
}

interface EventsPage {
  readonly events: readonly { readonly topic: string; readonly received_us: number }[];
  readonly cursor?: string;
}

type Emit = (event: OutgoingEvent) => Promise<void> | void;

/** Registers `esc replay recording` and `esc replay log`. */
export function register(program: Command, context: CommandContext): void {
  const replay = program.command("replay")
    .summary("replay recordings of venues, or the log")
    .description("Replay recordings of venues, or events of the log, on their recorded clock.");
  const recording = replay.command("recording")
    .summary("run a recording through a feed")
    .description(
      "Run a recording through a feed, with all figures, and print its events (topic, id, time, payload) or publish " +
        "them. The same recording gives the same bytes, whatever the pace.",
    )
    .argument("<recording...>", "files of messages, in their order");
  addAddressOptions(addRecordingOptions(recording), "server's TCP port")
    .option("--publish", "send the events to a server instead of printing them")
    .option("--output <file>", "write the events to a file")
    .option("--state <file>", "keep the state there now and then, and go on from it after a crash")
    .option("--profile-row <price>", "row of the volume profile, in price units")
    .option("--vpin-bucket <volume>", "volume of one bucket of VPIN")
    .option("--session-start <time>", "when a session begins, after midnight UTC")
    .addHelpText(
      "after",
      "\nExample:\n  $ esc replay recording okx.gz --venue okx --speed max > events.jsonl",
    )
    .action(async (files: string[], flags: ReplayFlags) => await replayRecording(files, flags, context));
  const log = addRecordingLessOptions(replay.command("log"))
    .summary("print events of a server's log at their pace")
    .description("Print events of a server's log in the order of their reception, at the pace they came in.")
    .argument("<pattern>", "topics, such as market.okx.>")
    .action(async (pattern: string, flags: LogFlags) => await replayLog(pattern, flags, context));
  addHttpPortOption(log).addHelpText("after", "\nExample:\n  $ esc replay log 'market.>' --speed 10");
}

function addRecordingLessOptions(command: Command): Command {
  return command
    .option("--host <host>", "server's host", "127.0.0.1")
    .option("--speed <factor>", "times the recorded pace, or max", parseSpeed, 1);
}

function parseSpeed(text: string): number {
  const speed = text === "max" ? Infinity : Number(text);
  if (!(speed > 0)) throw new EscError("USAGE", "--speed needs a number above 0, or max");
  return speed;
}

/** Lines between two states. */
const STATE_LINES = 1000;

async function replayRecording(
  files: readonly string[],
  flags: ReplayFlags,
  context: CommandContext,
): Promise<void> {
  const { readRecording } = await import("../src/ingest/feeds/recording.ts");
  const { Replay } = await import("../src/ingest/feeds/replay.ts");
  const interrupted = context.interrupted();
  const spec = await specOf(flags);
  const lines = readRecording(files, { restFile: flags.rest, snapshotSymbol: flags.snapshotSymbol });
  const { emit, output, finish } = await openEnd(flags, context, JSON.stringify([files, lines.length, spec]));
  let pending: OutgoingEvent[] = [];
  const replay = new Replay(spec, (event) => pending.push(event));
  const pace = new Pace(flags.speed);
  const start = output?.start;
  if (start !== undefined) replay.passOver();
  let count = 0;
  const flush = async () => {
    for (const event of pending) await emit(event);
    count += pending.length;
    pending = [];
  };
  let taken = 0;
  for (const line of lines) {
    if (interrupted.aborted) break;
    const isNew = taken >= (start?.lines ?? 0);
    if (isNew) await pace.until(line.receivedUs);
    await replay.take(line);
    await flush();
    taken++;
    if (taken === start?.lines) replay.resume(start.state);
    else if (isNew && taken % STATE_LINES === 0) await output?.keep({ lines: taken, state: replay.save() });
  }
  const isWhole = taken === lines.length;
  if (isWhole) replay.finish();
  await flush();
  await finish(isWhole);
  context.output.note(`${taken.toLocaleString("en")} lines, ${count.toLocaleString("en")} events`);
}

/** Where the events go: to the terminal, into a file, or to a server. */
async function openEnd(flags: ReplayFlags, context: CommandContext, of: string): Promise<{
  readonly emit: Emit;
  readonly output?: ReplayOutput;
  readonly finish: (isWhole: boolean) => Promise<void> | void;
}> {
  const { output: path, state } = flags;
  if (flags.publish === true) {
    if (path !== undefined) throw new EscError("USAGE", "--publish and --output exclude each other");
    const target = await openTarget(flags);
    const emit = async (event: OutgoingEvent) => {
      while (!target.publish(event)) await target.room();
    };
    return { emit, finish: () => target.finish() };
  }
  if (path === undefined) {
    if (state !== undefined) throw new EscError("USAGE", "--state needs --output: a file that can be cut");
    return { emit: (event) => context.output.line(lineOf(event)), finish() {} };
  }
  const { ReplayOutput } = await import("./replay-output.ts");
  const output = new ReplayOutput(path, state, of);
  return {
    output,
    emit: (event) => output.write(`${lineOf(event)}\n`),
    finish: (isWhole) => output.close(isWhole),
  };
}

async function openTarget(flags: ReplayFlags) {
  const { openTcpTarget } = await import("./send-target.ts");
  return await openTcpTarget({ host: flags.host, port: flags.port ?? TCP_PORT_DEFAULT }, { acks: "durable" });
}

function lineOf({ topic, id, timeUs, payload }: OutgoingEvent): string {
  return JSON.stringify({ topic, id, time_us: timeUs, payload: String(payload) });
}

async function specOf(flags: ReplayFlags): Promise<FeedSpec> {
  const { loadConfig } = await import("../src/config/load.ts");
  const isMapped = flags.venue === "bitstamp";
  const feed = {
    venue: isMapped ? "mapping" : flags.venue,
    ...(isMapped ? { mapping: "bitstamp" } : {}),
    symbols: ["ALL"],
    api_key: "none",
    depth: flags.depth,
    join_updates: 100_000,
    profile_row: flags.profileRow ?? "none",
    vpin_bucket: flags.vpinBucket ?? "none",
    session_start: flags.sessionStart ?? "0s",
    ...(flags.venue === "twelvedata" ? { api_key: "recorded" } : {}),
  };
  const { config } = loadConfig(JSON.stringify({ feeds: [feed] }), {
    file: "the recording's options",
    environment: {},
    readText: (path) => {
      throw new EscError("USAGE", `No file ${path} belongs to a recording`);
    },
  });
  const [spec] = config.feeds;
  if (spec === undefined) throw new EscError("INTERNAL", `No feed for ${flags.venue as RecordedVenueName}`);
  return spec;
}

async function replayLog(pattern: string, flags: LogFlags, context: CommandContext): Promise<void> {
  const problem = patternProblem(pattern);
  if (problem !== undefined) throw new EscError("USAGE", problem);
  const interrupted = context.interrupted();
  const pace = new Pace(flags.speed);
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({
      topic: pattern,
      limit: "1000",
      ...(cursor === undefined ? {} : { cursor }),
    });
    const page = await getJson(flags, `/api/v1/events?${query}`) as EventsPage;
    for (const event of page.events) {
      await pace.until(event.received_us);
      if (interrupted.aborted) return;
      context.output.line(JSON.stringify(event));
    }
    cursor = page.cursor;
  } while (cursor !== undefined && !interrupted.aborted);
}

/** Waits so that recorded times pass at a multiple of their pace. */
class Pace {
  readonly #speed: number;
  #startMs = NaN;
  #startUs = NaN;

  constructor(speed: number) {
    this.#speed = speed;
  }

  async until(recordedUs: number): Promise<void> {
    if (this.#speed === Infinity) return;
    if (Number.isNaN(this.#startUs)) {
      this.#startUs = recordedUs;
      this.#startMs = performance.now();
    }
    const dueMs = this.#startMs + (recordedUs - this.#startUs) / 1000 / this.#speed;
    const waitMs = dueMs - performance.now();
    if (waitMs >= 1) await Bun.sleep(waitMs);
  }
}
