/** `esc tail`: prints events as they come, or from any place in the log. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { Client, type ClientOptions } from "../src/client/client.ts";
import { refusalError } from "../src/client/connection.ts";
import type { EventCursor } from "../src/client/events.ts";
import type { StartAt, Subscription } from "../src/client/subscription.ts";
import { EscError } from "../src/errors.ts";
import { topicLength, topicStart } from "../src/event/ext.ts";
import { compilePatterns, patternProblem, type TopicMatcher } from "../src/event/topic.ts";
import { EventRecord } from "../src/process/rules/event-facts.ts";
import { compileExpression, type Expression, isProblem } from "../src/process/rules/expression.ts";
import { type CommandContext, wholeNumber } from "./command.ts";
import { EVENT_FORMATS, type EventFormat, EventPrinter } from "./event-printer.ts";
import { findLogEnd, type LogEnd, noteConfirmed } from "./log-end.ts";
import type { Output } from "./output.ts";
import { addAddressOptions, addHttpPortOption, TCP_PORT_DEFAULT } from "./server-options.ts";
import { dialServer, serverAccess } from "./server-access.ts";
import { parseStartAt } from "./start-at.ts";

interface TailOptions {
  readonly host: string;
  readonly port: number;
  readonly httpPort: number;
  readonly from: StartAt;
  readonly since?: StartAt;
  readonly limit?: number;
  readonly untilEnd?: boolean;
  readonly follow?: boolean;
  readonly filter?: Expression;
  readonly format?: EventFormat;
  readonly lane?: readonly string[];
  readonly consumer?: string;
}

const EXAMPLES = `
A pattern has "*" for one token and ">" for the rest. Text shows control characters as \\xNN; raw prints each
payload as it is, and a line feed.

Examples:
  $ esc tail 'orders.>'                                 # live
  $ esc tail '>' --from earliest --until-end --format raw > all.txt
  $ esc tail market.btcusdt --since 15m --json | jq .payload
  $ esc tail 'orders.>' --follow --filter 'payload.amount > 100 && priority >= 3'
  $ esc tail 'orders.>' --from batch/0=1200,realtime/0=7 --limit 10
  $ esc tail 'orders.>' --consumer billing --from earliest
  $ esc tail '>' --lane dlq --from earliest`;

/** With --until-end: how often to look whether anything still comes. */
const SILENCE_LOOK_MS = 250;
/** A shard that stays silent for so many looks although its end was not reached is given up. */
const SILENT_LOOKS_MAX = 20;

/** Registers `esc tail`. */
export function register(program: Command, context: CommandContext): void {
  const command = program.command("tail")
    .summary("print events, live or from the log")
    .description(
      "Print the events whose topic matches one of the patterns: as they come, or from any place in the log.",
    )
    .argument("<pattern...>", "topic patterns");
  addHttpPortOption(addAddressOptions(command, `server's TCP port (default: ${TCP_PORT_DEFAULT})`))
    .option(
      "--from <start>",
      "latest, earliest, a time, how long ago (15m), or lane/shard=offset,...",
      startAt,
      "latest",
    )
    .option("--since <time>", "a time, or how long ago (15m); the same as --from", startAt)
    .option("-f, --follow", "wait for the server when it goes away, and go on where it stopped")
    .option("--filter <expression>", "only events for which this CEL expression is true", filterOf)
    .addOption(new Option("--limit <n>", "stop after n events").argParser(wholeNumber(1)))
    .option("--until-end", "stop at what is the end of the log now")
    .option("--format <format>", "text, json (one object a line) or raw", eventFormat)
    .option("--lane <lane>", "only this lane, such as dlq; may be repeated", collect)
    .option("--consumer <name>", "durable consumer: go on where it stopped, whatever --from says")
    .addHelpText("after", EXAMPLES)
    .action(async (patterns: string[], options: TailOptions) => {
      for (const problem of patterns.map(patternProblem)) {
        if (problem !== undefined) throw new EscError("USAGE", problem);
      }
      if (options.follow === true && options.untilEnd === true) {
        throw new EscError("USAGE", "--follow goes on at the end, and --until-end stops there: choose one");
      }
      const { port = TCP_PORT_DEFAULT, since, from } = options;
      await tail(patterns, { ...options, port, from: since ?? from }, context);
    });
}

function startAt(text: string): StartAt {
  return parseStartAt(text);
}

function filterOf(text: string): Expression {
  const made = compileExpression(text, "condition");
  if (!isProblem(made)) return made;
  throw new InvalidArgumentError(`${made.problem}\n  ${text}\n  ${" ".repeat(made.at)}^`);
}

function eventFormat(text: string): EventFormat {
  const format = EVENT_FORMATS.find((name) => name === text);
  if (format === undefined) throw new InvalidArgumentError(`Expected one of ${EVENT_FORMATS.join(", ")}.`);
  return format;
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

async function tail(
  patterns: readonly string[],
  options: TailOptions,
  context: CommandContext,
): Promise<void> {
  const { host, port, from, consumer, lane: lanes } = options;
  const { output } = context;
  const refused = Promise.withResolvers<EscError>();
  const client = await Client.connect({
    dial: dialServer({ host, port }),
    token: serverAccess().token,
    acks: "none",
    producer: "esc tail",
    onRefused: (refusal) => refused.resolve(refusalError(refusal)),
    ...(options.follow === true ? reconnecting(output) : {}),
  });
  try {
    const plan = { ...options, lanes };
    const end = options.untilEnd === true ? await findLogEnd(plan) : undefined;
    const reader = new Reader(new EventPrinter(options.format ?? (output.json ? "json" : "text"), output), {
      limit: options.limit ?? Infinity,
      end,
      filter: options.filter,
      // What does not match is needed to know how far the reader has come: the server must not leave it out.
      matcher: end === undefined ? undefined : compilePatterns(patterns),
    });
    const topics = end === undefined ? patterns : [">"];
    const subscription = await client.subscribe(
      { topics, from, consumer, lanes },
      (events) => reader.read(events),
    );
    const silence = end === undefined
      ? undefined
      : setInterval(() => void reader.judgeSilence(() => noteConfirmed(plan, end), output), SILENCE_LOOK_MS);
    const interrupted = new Promise<void>((resolve) => {
      context.interrupted().addEventListener("abort", () => resolve());
    });
    const failure = await Promise.race([reader.finished, interrupted, refused.promise, client.ended]);
    clearInterval(silence);
    if (failure !== undefined) throw withPlaceToGoOn(failure, subscription);
    await client.close();
  } finally {
    client.abort();
  }
}

/** Tries again until it is interrupted, and says so once. */
function reconnecting(output: Output): Pick<ClientOptions, "reconnect" | "onDisconnected" | "onReconnected"> {
  let isLost = false;
  return {
    reconnect: { giveUpMs: Infinity },
    onDisconnected: (error) => {
      if (!isLost) output.note(`${error.message}; waiting for it to come back`);
      isLost = true;
    },
    onReconnected: () => {
      isLost = false;
      output.note("connected again");
    },
  };
}

interface ReaderOptions {
  readonly limit: number;
  readonly end: LogEnd | undefined;
  readonly filter: Expression | undefined;
  readonly matcher: TopicMatcher | undefined;
}

/** Prints until the limit or the end of the log. */
class Reader {
  readonly finished: Promise<void>;
  readonly #printer: EventPrinter;
  readonly #options: ReaderOptions;
  readonly #finish: () => void;
  #printedCount = 0;
  #hasFinished = false;
  #silentLooks = 0;
  readonly #record = new EventRecord();

  constructor(printer: EventPrinter, options: ReaderOptions) {
    this.#printer = printer;
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.finished = promise;
    this.#finish = () => {
      this.#hasFinished = true;
      resolve();
    };
    if (options.end?.isReached === true) this.#finish();
  }

  /** Handles one EVENTS frame. Steps over nothing that it does not print, once the limit is reached. */
  read(events: EventCursor): void {
    const { limit, end, matcher, filter } = this.#options;
    this.#silentLooks = 0;
    while (!this.#hasFinished && events.next()) {
      const topicAt = topicStart(events.frameAt);
      const isWanted = matcher?.matches(events.bytes, topicAt, topicLength(events.bytes, events.frameAt)) ??
        true;
      if (!isWanted || filter !== undefined && !this.#passes(events, filter)) continue;
      this.#printer.add(events);
      if (++this.#printedCount >= limit) this.#finish();
    }
    this.#printer.flush();
    end?.reached(`${events.lane}/${events.shard}`, events.nextOffset);
    if (end?.isReached === true) this.#finish();
  }

  /** An event that lacks what the expression asks of it does not pass. */
  #passes(events: EventCursor, filter: Expression): boolean {
    this.#record.open(events.bytes, events.frameAt, events.offset, events.receivedUs);
    try {
      return filter(this.#record) === true;
    } catch {
      return false;
    }
  }

  /**
   * Called at intervals while the end is awaited: gives up when nothing has come for many of them.
   *
   * @param noteConfirmed Finds out what need not come because the consumer has it already.
   */
  async judgeSilence(noteConfirmed: () => Promise<void>, output: Output): Promise<void> {
    this.#silentLooks++;
    if (this.#silentLooks < 2 || this.#hasFinished) return;
    await noteConfirmed();
    if (this.#options.end?.isReached === true) this.#finish();
    if (this.#silentLooks < SILENT_LOOKS_MAX || this.#hasFinished) return;
    output.note("stopped before the end of a shard: it has sent nothing for a while");
    this.#finish();
  }
}

function withPlaceToGoOn(failure: EscError, subscription: Subscription): EscError {
  const places = Object.entries(subscription.positions()).map(([shard, offset]) => `${shard}=${offset}`);
  return new EscError(failure.code, failure.message, {
    cause: failure.cause,
    ...(places.length === 0 ? {} : { hint: `Go on with --from ${places.join(",")}` }),
  });
}
