/** `esc replay`: recordings of venues, and events of the log, once more: at the recorded pace, faster, or at once. */
import type { Command } from "commander";
import { EscError } from "../src/errors.ts";
import type { OutgoingEvent } from "../src/event/encode.ts";
import { patternProblem } from "../src/event/topic.ts";
import type { RecordedVenueName } from "../src/ingest/feeds/recording.ts";
import type { FeedSpec } from "../src/ingest/feeds/spec.ts";
import type { CommandContext } from "./command.ts";
import { addRecordingOptions, type RecordingFlags } from "./recording-options.ts";
import { addAddressOptions, addHttpPortOption, getJson, TCP_PORT_DEFAULT } from "./server-options.ts";

interface ReplayFlags extends RecordingFlags {
  readonly publish?: boolean;
  readonly profileRow?: string;
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
    .option("--profile-row <price>", "row of the volume profile, in price units")
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

async function replayRecording(
  files: readonly string[],
  flags: ReplayFlags,
  context: CommandContext,
): Promise<void> {
  const { readRecording } = await import("../src/ingest/feeds/recording.ts");
  const { Replay } = await import("../src/ingest/feeds/replay.ts");
  const interrupted = context.interrupted();
  const lines = readRecording(files, { restFile: flags.rest, snapshotSymbol: flags.snapshotSymbol });
  const target = flags.publish === true ? await openTarget(flags) : undefined;
  let pending: OutgoingEvent[] = [];
  const emit: Emit = target === undefined ? (event) => print(event, context) : async (event) => {
    while (!target.publish(event)) await target.room();
  };
  const replay = new Replay(await specOf(flags), (event) => pending.push(event));
  const pace = new Pace(flags.speed);
  let count = 0;
  const flush = async () => {
    for (const event of pending) await emit(event);
    count += pending.length;
    pending = [];
  };
  for (const line of lines) {
    if (interrupted.aborted) break;
    await pace.until(line.receivedUs);
    await replay.take(line);
    await flush();
  }
  replay.finish();
  await flush();
  await target?.finish();
  context.output.note(`${lines.length.toLocaleString("en")} lines, ${count.toLocaleString("en")} events`);
}

async function openTarget(flags: ReplayFlags) {
  const { openTcpTarget } = await import("./send-target.ts");
  return await openTcpTarget({ host: flags.host, port: flags.port ?? TCP_PORT_DEFAULT }, { acks: "durable" });
}

function print({ topic, id, timeUs, payload }: OutgoingEvent, { output }: CommandContext): void {
  output.line(JSON.stringify({ topic, id, time_us: timeUs, payload: String(payload) }));
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
