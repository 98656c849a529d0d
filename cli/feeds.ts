/** `esc feeds simulate`: a venue made of a recording, to rehearse against. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { EscError } from "../src/errors.ts";
import type { RecordedVenueName } from "../src/ingest/feeds/recording.ts";
import type { Fault } from "../src/ingest/feeds/simulator.ts";
import { type CommandContext, wholeNumber } from "./command.ts";
import { addRecordingOptions, type RecordingFlags } from "./recording-options.ts";

interface SimulateFlags extends RecordingFlags {
  readonly host: string;
  readonly port: number;
  readonly fault: readonly Fault[];
}

const FAULT_KINDS = ["lose", "duplicate", "swap", "truncate", "disconnect"] as const;

/** Registers `esc feeds simulate`. */
export function register(program: Command, context: CommandContext): void {
  const feeds = program.command("feeds")
    .summary("simulate trading venues")
    .description("Market data: simulate trading venues.");
  const simulate = feeds.command("simulate")
    .summary("serve a recording as the venue would")
    .description(
      "Serve a recording over WebSocket and REST as the venue would: handshake, subscriptions, pings, snapshots. " +
        "The recording begins with the first subscription. Faults are put at lines of it, counted from 0.",
    )
    .argument("<recording...>", "files of messages, in their order");
  addRecordingOptions(simulate)
    .option("--host <host>", "address to listen on", "127.0.0.1")
    .option("--port <port>", "port to listen on; 0 for a free one", wholeNumber(0, 65_535), 0)
    .addOption(
      new Option("--fault <line:kind>", `a fault: ${FAULT_KINDS.join(", ")}; may be repeated`)
        .argParser((text: string, before: readonly Fault[]) => [...before, parseFault(text)]).default(
          [],
          "none",
        ),
    )
    .addHelpText(
      "after",
      "\nExamples:\n  $ esc feeds simulate okx.gz --venue okx --port 7000\n" +
        "  $ esc feeds simulate coinm.gz --venue binance-coinm --snapshot-symbol BTCUSD_PERP --fault 1000:lose",
    )
    .action(async (files: string[], flags: SimulateFlags) => await run(files, flags, context));
}

async function run(files: readonly string[], flags: SimulateFlags, context: CommandContext): Promise<void> {
  const { output } = context;
  const { readRecording, recordedVenue } = await import("../src/ingest/feeds/recording.ts");
  const { DIALECTS } = await import("../src/ingest/feeds/dialects.ts");
  const { Simulator } = await import("../src/ingest/feeds/simulator.ts");
  const { venue, dialect } = recordedVenue(flags.venue as RecordedVenueName, flags.depth);
  if (dialect === undefined) throw new EscError("USAGE", `Venue ${flags.venue} cannot be simulated yet`);
  const interrupted = context.interrupted();
  const simulator = new Simulator({
    lines: readRecording(files, { restFile: flags.rest, snapshotSymbol: flags.snapshotSymbol }),
    dialect: DIALECTS[dialect],
    makeDecoder: (sink) => venue.makeDecoder(sink),
    book: { ...venue.book, bufferUpdatesMax: 100_000 },
    faults: flags.fault,
    speed: flags.speed,
    hostname: flags.host,
    port: flags.port,
  });
  const snapshotUrl = simulator.snapshotUrl("SYMBOL").replace("SYMBOL", "{symbol}");
  output.result(
    { url: simulator.url, snapshot_url: snapshotUrl },
    () => `url: ${simulator.url}\nsnapshot_url: ${snapshotUrl}`,
  );
  const stopped = new Promise<void>((resolve) => interrupted.addEventListener("abort", () => resolve()));
  await Promise.race([simulator.finished, stopped]);
  if (!interrupted.aborted) {
    output.note("the recording has been sent; the line stays open until Ctrl-C");
    await stopped;
  }
  await simulator.stop();
  output.result(
    { sent: simulator.sentCount, snapshots: simulator.restCount },
    () => `sent ${simulator.sentCount} messages, answered ${simulator.restCount} snapshots`,
  );
}

function parseFault(text: string): Fault {
  const [, at, word] = /^(\d+):([a-z]+)$/.exec(text) ?? [];
  const kind = FAULT_KINDS.find((one) => one === word);
  if (at === undefined || kind === undefined) {
    throw new InvalidArgumentError(
      `Expected a line and one of ${FAULT_KINDS.join(", ")}, such as 1000:lose.`,
    );
  }
  return { at: Number(at), kind };
}
