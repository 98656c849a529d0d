/** `esc why`: the life of one event, or why it is not there. */
import type { Command } from "commander";
import type { Biography } from "../src/api/why-biography.ts";
import type { Letter } from "../src/api/why-letters.ts";
import { PRIORITY_NAMES } from "../src/event/frame.ts";
import { timeSchema } from "../src/api/schemas.ts";
import { EscError } from "../src/errors.ts";
import type { CommandContext } from "./command.ts";
import { printable } from "./printable.ts";
import { addHttpPortOption, getJson, HOST_DEFAULT, type HttpAddress } from "./server-options.ts";
import { parseDuration } from "../src/config/units.ts";

interface WhyOptions extends HttpAddress {
  readonly lane?: string;
  readonly since?: string;
  readonly all?: boolean;
}

interface Answer {
  readonly ending: string;
  readonly explanation: string;
  readonly events: readonly Biography[];
  readonly dead_letters: readonly Letter[];
  readonly kept_since_us?: number;
  readonly cursor?: string;
}

/** `lane/shard@offset`; message ids may look like that, too: `--id` says that it is one. */
const PLACE = /^[^/]+\/\d{1,5}@\d{1,16}$/;

/** Registers `esc why`. */
export function register(program: Command, context: CommandContext): void {
  const command = program.command("why")
    .summary("tell what became of one event")
    .description(
      "Tell what became of one event: where it was received, why it went into its lane, whether a repeat would be " +
        "recognised, how far the log, processing, the store and durable consumers are with it, its dead letters; or " +
        "why it is not there. The newest events are looked through first.",
    )
    .argument("<event>", "message id, or place as lane/shard@offset")
    .option("--host <host>", "server's host", HOST_DEFAULT);
  addHttpPortOption(command)
    .option("--id", "take the argument for a message id even if it looks like a place")
    .option("--lane <name>", "with an id: look only into this lane, and among the dead letters")
    .option(
      "--since <time>",
      "with an id: received at or after; ISO 8601, microseconds, or such as 15m for ago",
    )
    .option("--all", "with an id: go on after it was found")
    .addHelpText(
      "after",
      "\nExit status: 0 when the event or a dead letter of it is there, 1 when not.\n\n" +
        "Examples:\n  $ esc why order-4711\n  $ esc why transactional/0@17\n" +
        "  $ esc --json why order-4711 --since 1h | jq .events[0].consumers",
    )
    .action(async (event: string, options: WhyOptions & { id?: boolean }) => {
      const isPlace = options.id !== true && PLACE.test(event);
      if (isPlace && (options.lane ?? options.since) !== undefined) {
        throw new EscError("USAGE", "--lane and --since go with a message id");
      }
      const query = new URLSearchParams(isPlace ? { place: event } : { id: event });
      if (options.lane !== undefined) query.set("lane", options.lane);
      if (options.since !== undefined) query.set("from_time", String(sinceUs(options.since)));
      const answer = await ask(options, query, context);
      context.output.result(answer, () => textOf(answer, context).join("\n"));
      if (answer.events.length + answer.dead_letters.length === 0) process.exitCode = 1;
    });
}

/** Asks until the search is over, or, without `--all`, until the event was found. */
async function ask(
  options: WhyOptions,
  query: URLSearchParams,
  { output, interrupted }: CommandContext,
): Promise<Answer> {
  const events: Biography[] = [];
  const letters = new Map<number, Letter>();
  const signal = interrupted();
  for (let requests = 1;; requests++) {
    const answer = await getJson(options, `/api/v1/why?${query}`) as Answer;
    events.push(...answer.events.filter((it) => !events.some((known) => placeOf(known) === placeOf(it))));
    for (const letter of answer.dead_letters) letters.set(letter.offset, letter);
    const isEnough = query.has("id") && events.length > 0 && options.all !== true;
    if (answer.cursor === undefined || isEnough || signal.aborted) {
      const { cursor: _, ...rest } = answer;
      const found = events.length > 0 ? { ending: "stored", explanation: "It is in the log" } : {};
      return {
        ...rest,
        ...found,
        events,
        dead_letters: [...letters.values()].sort((a, b) => a.offset - b.offset),
      };
    }
    query.set("cursor", answer.cursor);
    output.progress(`searching, newest events first: ${requests} requests`);
  }
}

function sinceUs(text: string): number {
  const ago = parseDuration(text);
  if (ago !== undefined) return Math.max(0, (Date.now() - ago) * 1000);
  const time = timeSchema.safeParse(text);
  if (time.success) return time.data;
  throw new EscError("USAGE", `--since "${text}" is neither a time nor a duration such as 15m`);
}

function textOf(answer: Answer, { output }: CommandContext): string[] {
  const lines = answer.events.flatMap((event) => [
    output.style("bold", `${placeOf(event)}  ${printable(event.topic)}`),
    ...storyOf(event).map(([name, text]) => `  ${output.style("dim", name.padEnd(10))}  ${printable(text)}`),
  ]);
  if (answer.events.length === 0) lines.push(`${answer.ending}: ${answer.explanation}`);
  if (answer.dead_letters.length > 0) lines.push(output.style("bold", "dead letters"));
  for (const letter of answer.dead_letters) {
    const { offset, died_us, reason, error, attempts, origin, is_handled } = letter;
    lines.push(
      printable(
        `  dlq/0@${offset}  ${timeOf(died_us)}  ${reason}, of ${origin ?? "unknown origin"}, ${
          plural(attempts, "attempt")
        }, ${is_handled ? "requeued or purged" : "nobody has dealt with it"}${
          error === undefined ? "" : `: ${error}`
        }`,
      ),
    );
  }
  return lines;
}

/** What happened to it, in the order of its way. */
function storyOf(event: Biography): [string, string][] {
  const { received, log, consumers } = event;
  const { slot, generation } = received.connection;
  const identity = [
    ...(event.id === undefined ? [] : [`id ${event.id}`]),
    ...(event.key === undefined ? [] : [`key ${event.key}`]),
    ...(event.time_us === undefined ? [] : [`event time ${timeOf(event.time_us)}`]),
    `${event.payload_bytes} bytes`,
  ];
  return [
    ["event", identity.join(", ")],
    [
      "received",
      `${timeOf(received.at_us)} by ${received.listener}, ` +
      (received.source === 255
        ? "made by esc itself"
        : `thread ${received.source}, connection ${slot}.${generation}`) +
      `, acks ${received.acks}`,
    ],
    ["lane", routeText(event)],
    ["dedup", dedupText(event)],
    [
      "log",
      `${log.durable ? "durable" : "not durable yet"}, ${log.visible ? "visible" : "not visible yet"}` +
      (log.kept_until_us === undefined ? "" : `, kept until about ${timeOf(log.kept_until_us)}`),
    ],
    ["processing", processingText(event)],
    ["store", storeText(event)],
    ...consumers.map(({ name, position, is_behind }): [string, string] => [
      "consumer",
      `${name}: ${is_behind ? `has not confirmed it, stands at ${position}` : "has confirmed it"}`,
    ]),
  ];
}

function routeText({ lane, route }: Biography): string {
  const name = PRIORITY_NAMES[route.priority] ?? String(route.priority);
  const raised = route.priority_rule === undefined ? "" : ` (topic rule ${route.priority_rule} raises to it)`;
  const priority = `priority ${name}${raised}`;
  const why = route.lane_rule === undefined ? "" : `, by topic rule ${route.lane_rule}`;
  return lane === route.lane_now
    ? `${lane}: ${priority}${why}`
    : `${lane}: ${priority}; the rules of now would say ${route.lane_now}${why}: they have changed, or pressure moved it`;
}

function dedupText({ dedup }: Biography): string {
  const { state, until_us, newer } = dedup;
  if (state === "no_id") return "no message id: a repeat is stored again";
  if (state === "forgotten") {
    return `its id was forgotten at ${timeOf(until_us ?? 0)}: a repeat is stored again`;
  }
  const unsure = newer === undefined ? "" : `, unless enough of the ${newer} events behind it have ids`;
  return `a repeat is recognised until ${timeOf(until_us ?? 0)}${unsure}`;
}

function processingText({ processing: { state, position, rules, windows, handlers } }: Biography): string {
  if (state === "none") return "no rules, windows or handlers are configured: processed when it was stored";
  const parts = [
    ...rules.map(({ name, has_condition }) => `rule ${name}${has_condition ? " (on its condition)" : ""}`),
    ...windows.map(({ name, spans }) =>
      `window ${name}${
        (spans ?? []).map(({ start_us, end_us }) => ` ${timeOf(start_us)}/${timeOf(end_us)}`).join("")
      }`
    ),
    ...handlers.map((name) => `handler ${name}`),
  ];
  const how = state === "processed" ? "processed, or waits for another attempt" : "waits";
  return `${how} (processor at ${position}); ${
    parts.length === 0 ? "nothing is for its topic" : parts.join(", ")
  }`;
}

function storeText({ store: { state, position } }: Biography): string {
  switch (state) {
    case "none":
      return "no topics are stored";
    case "not_chosen":
      return "its topic is not among store.topics";
    case "stored":
      return `stored (sink at ${position})`;
    case "waiting":
      return `waits (sink at ${position})`;
  }
}

function placeOf({ lane, shard, offset }: Biography): string {
  return `${lane}/${shard}@${offset}`;
}

function timeOf(us: number): string {
  return new Date(us / 1000).toISOString();
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
