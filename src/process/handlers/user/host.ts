/**
 * The inside of a TypeScript handler's process: loads the file, runs batches of events through it, answers.
 *
 * Events go one after the other; a handler that returns a promise is waited for. An event that fails takes nothing
 * with it but the events of the same key behind it in the batch: they are not tried.
 */
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { EscError } from "../../../errors.ts";
import { patternProblem } from "../../../event/topic.ts";
import { orderKeyOf } from "../../retry.ts";
import { EventRecord } from "../../rules/event-facts.ts";
import type { HandlerOutput, Outcome } from "../outcome.ts";
import {
  ANSWER,
  encodeMessage,
  type HandlerFile,
  MessageReader,
  READY,
  REFUSED,
  RUN,
  STATE,
} from "./messages.ts";
import { outcomeOf, outputProblem, OUTPUTS_MAX } from "./outcome-check.ts";
import { ParcelCursor } from "./parcel.ts";
import { HandlerState } from "./state.ts";

/** A batch that takes longer is answered in parts. */
const PART_MS = 20;
/** Longest text about what went wrong. */
const REASON_CHARACTERS_MAX = 500;

export interface HostPort {
  /** What esc writes; its end is the end of the process. */
  readonly input: AsyncIterable<Uint8Array>;
  /** Returns when all bytes are written. */
  readonly write: (bytes: Uint8Array) => void;
}

interface LoadedHandler extends HandlerFile {
  readonly file: string;
  readonly handle: (event: HandledEvent, context: HandlerContext) => unknown;
}

/** An event as a handler sees it: parts are decoded when they are asked for. */
class HandledEvent {
  readonly #record: EventRecord;

  constructor(record: EventRecord) {
    this.#record = record;
  }

  get topic(): string {
    return this.#record.topic;
  }
  /** Decoded JSON with what rules have added; `null` when the payload is no JSON. */
  get payload(): unknown {
    return this.#record.payload;
  }
  get bytes(): Uint8Array {
    return this.#record.payloadBytes;
  }
  get text(): string {
    return new TextDecoder().decode(this.#record.payloadBytes);
  }
  get key(): string {
    return this.#record.key;
  }
  get id(): string {
    return this.#record.id;
  }
  get priority(): number {
    return this.#record.priority;
  }
  get headers(): Readonly<Record<string, string>> {
    return this.#record.headers;
  }
  get time(): Date {
    return this.#record.time;
  }
  get receivedUs(): number {
    return this.#record.receivedUs;
  }
  get lane(): string {
    return this.#record.lane;
  }
  get shard(): number {
    return this.#record.shard;
  }
  get offset(): number {
    return this.#record.offset;
  }
}

/** What a handler can do besides returning. One for all events: `begin()` starts the next. */
class HandlerContext {
  readonly state = new HandlerState();
  #published: HandlerOutput[] = [];

  publish(topic: string, payload: unknown, options: { key?: string; priority?: number } = {}): void {
    const output: HandlerOutput = { topic, payload, ...options };
    const problem = this.#published.length >= OUTPUTS_MAX
      ? `more than ${OUTPUTS_MAX} events for one event`
      : outputProblem(output);
    if (problem !== undefined) throw new RangeError(`Cannot publish: ${problem}`);
    this.#published.push(output);
  }

  alert(severity: string, message: string) {
    return { outcome: "alert", severity, message };
  }
  drop() {
    return { outcome: "drop" };
  }
  fail(reason: string) {
    return { outcome: "fail", reason };
  }

  /** @returns What the event before has published. */
  begin(): readonly HandlerOutput[] {
    const published = this.#published;
    if (published.length > 0) this.#published = [];
    return published;
  }
}

/** Runs until the input ends. The first message says whether the file is a handler. */
export async function hostHandler(file: string, { input, write }: HostPort): Promise<void> {
  let handler: LoadedHandler;
  try {
    handler = await loadHandler(file);
  } catch (error) {
    write(encodeMessage(REFUSED, JSON.stringify(problemText(error, file))));
    return;
  }
  const { topics, budgetMs, attempts, pauseMs } = handler;
  write(encodeMessage(READY, JSON.stringify({ topics, budgetMs, attempts, pauseMs })));
  const context = new HandlerContext();
  const batches: Buffer[] = [];
  const messages = new MessageReader((kind, body) => {
    if (kind === STATE) context.state.load(JSON.parse(body.toString()));
    else if (kind === RUN) batches.push(body);
  });
  for await (const chunk of input) {
    messages.feed(chunk);
    for (const batch of batches.splice(0)) await runBatch(batch, handler, context, write);
  }
}

async function runBatch(
  batch: Uint8Array,
  handler: LoadedHandler,
  context: HandlerContext,
  write: HostPort["write"],
): Promise<void> {
  let outcomes: [number, Outcome][] = [];
  const failedKeys = new Set<string>();
  const cursor = new ParcelCursor(batch);
  const answer = (end: number) => {
    const changes = context.state.takeChanges();
    write(encodeMessage(ANSWER, JSON.stringify({ end, outcomes, changes })));
    outcomes = [];
  };
  let answeredMs = performance.now();
  while (cursor.next()) {
    if (cursor.index > 0 && performance.now() - answeredMs > PART_MS) {
      answer(cursor.index);
      answeredMs = performance.now();
    }
    const event = new EventRecord();
    cursor.open(event);
    if (failedKeys.size > 0 && failedKeys.has(orderKeyOf(event))) {
      outcomes.push([cursor.index, { kind: "behind" }]);
      continue;
    }
    let outcome: Outcome;
    try {
      let said = handler.handle(new HandledEvent(event), context);
      if (said instanceof Promise) said = await said;
      outcome = finished(outcomeOf(said, context.begin()));
    } catch (error) {
      context.begin();
      outcome = { kind: "fail", reason: problemText(error, handler.file) };
      failedKeys.add(orderKeyOf(event));
    }
    if (outcome.kind === "fail") context.state.undo();
    else context.state.keep();
    if (outcome.kind !== "success" || outcome.outputs !== undefined) outcomes.push([cursor.index, outcome]);
  }
  answer(cursor.index + 1);
}

/** What is no outcome is a mistake in the handler's code: trying again does not help. */
function finished(outcome: Outcome | string): Outcome {
  if (typeof outcome !== "string") return outcome;
  return { kind: "fail", reason: `The handler returned no outcome: ${outcome}`, isFinal: true };
}

/** @throws {Error} What the file throws, or that it is no handler. */
async function loadHandler(file: string): Promise<LoadedHandler> {
  const module: Readonly<Record<string, unknown>> = await import(pathToFileURL(resolve(file)).href);
  const given = module["default"] ?? module;
  const parts = typeof given === "function" ? { ...module, handle: given } : given;
  if (typeof parts !== "object" || parts === null || !("handle" in parts)) {
    throw refusal(
      "The file exports no handler: export default { topics, handle(event, context) { ... } }",
    );
  }
  const { handle } = parts;
  if (typeof handle !== "function") throw refusal("handle is not a function");
  const { topics = [], budgetMs, attempts, pauseMs } = parts as {
    readonly topics?: unknown;
    readonly budgetMs?: unknown;
    readonly attempts?: unknown;
    readonly pauseMs?: unknown;
  };
  const patterns: unknown[] = Array.isArray(topics) ? topics : [topics];
  const checked = patterns.map((pattern) => {
    if (typeof pattern !== "string") throw refusal("topics is a pattern or a list of patterns");
    const problem = patternProblem(pattern);
    if (problem !== undefined) throw refusal(`topics: ${problem}`);
    return pattern;
  });
  return {
    file,
    handle: (event, context) => handle.call(parts, event, context),
    topics: checked,
    ...limit("budgetMs", budgetMs, 600_000),
    ...limit("attempts", attempts, 100),
    ...limit("pauseMs", pauseMs, 600_000),
  };
}

function limit(name: "budgetMs" | "attempts" | "pauseMs", value: unknown, max: number) {
  if (value === undefined) return {};
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > max) {
    throw refusal(`${name} is a whole number from 1 to ${max}`);
  }
  return { [name]: value };
}

function refusal(problem: string): EscError {
  return new EscError("USAGE", problem);
}

/** What was thrown, and where in the user's code. */
function problemText(error: unknown, file: string): string {
  if (!(error instanceof Error)) return String(error).slice(0, REASON_CHARACTERS_MAX);
  if (error instanceof EscError) return error.message;
  const causes = error instanceof AggregateError
    ? `: ${error.errors.map((cause) => problemText(cause, file)).join("; ")}`
    : "";
  const text = `${error.name}: ${error.message}${causes}`;
  const place = placeOf(error, dirname(resolve(file)));
  return `${text}${place === undefined ? "" : ` (${place})`}`.slice(0, REASON_CHARACTERS_MAX);
}

function placeOf(error: Error, folder: string): string | undefined {
  // What cannot be parsed says where; what was thrown has a stack, of which the first line in the folder counts.
  if ("position" in error && typeof error.position === "object" && error.position !== null) {
    const { line, column } = error.position as { readonly line?: number; readonly column?: number };
    return `line ${line}, column ${column}`;
  }
  const stack = error.stack ?? "";
  const at = stack.indexOf(`${folder}/`);
  return at < 0 ? undefined : /^[^():\n]+:\d+(:\d+)?/.exec(stack.slice(at))?.[0];
}
