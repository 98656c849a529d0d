/** `esc handlers test`: runs a handler on events of a file, and shows what it says of each. */
import type { Command } from "commander";
import { readFileSync } from "node:fs";
import process from "node:process";
import { EscError } from "../src/errors.ts";
import { encodeFrame, eventProblem, type OutgoingEvent } from "../src/event/encode.ts";
import { MAX_FRAME_BYTES_DEFAULT, PRIORITY_MEDIUM, PRIORITY_NAMES } from "../src/event/frame.ts";
import type { Outcome } from "../src/process/handlers/outcome.ts";
import type { HandlerSpec } from "../src/process/handlers/registry.ts";
import { EventRecord } from "../src/process/rules/event-facts.ts";
import { type CommandContext, wholeNumber } from "./command.ts";

interface TestOptions {
  readonly events?: string;
  readonly topic?: string;
  readonly command?: readonly string[];
  readonly budget: number;
}

const EXAMPLES = `
An event is a line such as {"topic":"orders.new","payload":{"amount":3},"key":"k"}, as \`esc generate\` writes them;
with --topic, a line is a payload. The exit status is 1 when an event fails.

Examples:
  $ esc handlers test handlers/fraud.ts --events sample.jsonl
  $ echo '{"amount":9000}' | esc handlers test handlers/fraud.ts --topic payments.card -
  $ esc handlers test --events sample.jsonl --command python3 handlers/score.py`;

/** Adds `esc handlers test`. */
export function addTestCommand(handlers: Command, context: CommandContext): void {
  handlers.command("test")
    .summary("run a handler on sample events")
    .description(
      "Run a handler on sample events in a process of its own, as the server would; nothing is published.",
    )
    .argument("[file]", "file of the handler")
    .argument("[source]", '"-" reads the events from stdin')
    .option("--events <file>", "file with one event a line")
    .option("--topic <topic>", "topic of all events: lines are payloads")
    .option("--command <words...>", "a program that speaks JSON lines, in place of a file")
    .option("--budget <ms>", "time for one event, milliseconds", wholeNumber(1, 600_000), 1000)
    .addHelpText("after", EXAMPLES)
    .action(async (file: string | undefined, source: string | undefined, options: TestOptions) => {
      const isStdin = source === "-" || file === "-" || options.events === undefined;
      const text = isStdin ? await new Response(Bun.stdin.stream()).text() : readEvents(options.events);
      const events = text.split("\n").flatMap((line, index) =>
        line.trim() === "" ? [] : [eventOf(line, index, options)]
      );
      await run(file === "-" ? undefined : file, events, options, context);
    });
}

function readEvents(file = ""): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new EscError("USAGE", `Cannot read ${file}`, { cause });
  }
}

/** @throws {EscError} USAGE, with the number of the line. */
function eventOf(line: string, index: number, { topic }: TestOptions): OutgoingEvent {
  const refuse = (problem: string) => new EscError("USAGE", `Line ${index + 1} is no event: ${problem}`);
  let event: OutgoingEvent;
  if (topic !== undefined) event = { topic, priority: PRIORITY_MEDIUM, payload: line };
  else {
    let given: { readonly [field: string]: unknown };
    try {
      given = JSON.parse(line);
    } catch {
      throw refuse("it is no JSON; with --topic a line is a payload");
    }
    if (typeof given !== "object" || given === null || typeof given["topic"] !== "string") {
      throw refuse("it has no topic; with --topic a line is a payload");
    }
    const { payload, priority, key, id, time_us: timeUs, headers } = given;
    event = {
      topic: given["topic"],
      payload: typeof payload === "string" ? payload : JSON.stringify(payload ?? null),
      priority: typeof priority === "string"
        ? PRIORITY_NAMES.findIndex((name) => name === priority.toUpperCase())
        : typeof priority === "number"
        ? priority
        : PRIORITY_MEDIUM,
      ...(typeof key === "string" ? { key } : {}),
      ...(typeof id === "string" ? { id } : {}),
      ...(typeof timeUs === "number" ? { timeUs } : {}),
      ...(typeof headers === "object" && headers !== null
        ? { headers: Object.entries(headers).map(([name, value]) => [name, String(value)] as const) }
        : {}),
    };
  }
  const problem = eventProblem(event, MAX_FRAME_BYTES_DEFAULT);
  if (problem !== undefined) throw refuse(problem);
  return event;
}

async function run(
  file: string | undefined,
  events: readonly OutgoingEvent[],
  { command, budget }: TestOptions,
  { output }: CommandContext,
): Promise<void> {
  if ((file === undefined) === (command === undefined)) {
    throw new EscError("USAGE", "Cannot test: give either a file or --command");
  }
  const { HandlerRunner } = await import("../src/process/handlers/user/runner.ts");
  const { LineProcess } = await import("../src/process/handlers/user/line-process.ts");
  const { ModuleProcess } = await import("../src/process/handlers/user/module-process.ts");
  const { hostCommand } = await import("../src/engine-handlers.ts");
  const spec: HandlerSpec = {
    name: "test",
    topics: [">"],
    use: file ?? "",
    attemptsMax: 1,
    pauseMs: 0,
    budgetMs: budget,
    memoryBytesMax: 512 * 1024 * 1024,
  };
  const finished = Promise.withResolvers<void>();
  const counts: Record<string, number> = { success: 0, alert: 0, drop: 0, fail: 0 };
  let refusal: string | undefined;
  let concludedCount = 0;
  const delegator = {
    conclude: (_: string, event: EventRecord, outcome: Outcome) => {
      if (outcome.kind === "behind") {
        // Nothing is tried twice here: those behind a failure go on.
        runner.add(event, true);
        return;
      }
      counts[outcome.kind] = (counts[outcome.kind] ?? 0) + 1;
      output.result(
        { event: event.offset + 1, topic: event.topic, ...outcome },
        () => outcomeText(event, outcome),
      );
      concludedCount++;
    },
    isHeld: () => false,
  };
  const turn = () => {
    runner.turn(delegator);
    if (concludedCount === events.length) finished.resolve();
  };
  const runner = new HandlerRunner(spec, {
    open: (processEvents) =>
      command === undefined
        ? new ModuleProcess([...hostCommand(), spec.use], processEvents)
        : new LineProcess(command, processEvents),
    poke: () => setImmediate(turn),
    onFault: (problem) => output.note(`stopped: ${problem}`),
    onVersion: () => {},
    onRefused: (problem) => {
      refusal = problem;
      finished.resolve();
    },
    onLine: (line) => output.note(line),
  });
  const record = new EventRecord();
  for (const [offset, event] of events.entries()) {
    record.open(encodeFrame(event), 0, offset, Date.now() * 1000);
    runner.add(record, false);
  }
  if (events.length > 0) await finished.promise;
  runner.close();
  if (refusal !== undefined) {
    throw new EscError("USAGE", `Cannot load ${file ?? command?.join(" ")}: ${refusal}`);
  }
  output.note(Object.entries(counts).map(([kind, count]) => `${kind} ${count}`).join(", "));
  if ((counts["fail"] ?? 0) > 0) process.exitCode = 1;
}

function outcomeText({ offset, topic }: EventRecord, outcome: Outcome): string {
  const facts = outcome.kind === "alert"
    ? ` ${outcome.severity}: ${outcome.message}`
    : outcome.kind === "fail"
    ? ` ${outcome.reason}`
    : "";
  const outputs = "outputs" in outcome ? outcome.outputs ?? [] : [];
  return [
    `${offset + 1} ${topic} ${outcome.kind}${facts}`,
    ...outputs.map((output) => `    → ${output.topic} ${JSON.stringify(output.payload)}`),
  ].join("\n");
}
