/**
 * A handler in any language: a program that reads requests and writes answers, one JSON object a line. Processor
 * thread only. docs/handlers.md describes the protocol.
 *
 *     → {"id":7,"topic":"orders.new","payload":"{\"amount\":3}","priority":2,"key":"k","attempt":1, ...}
 *     ← {"id":7,"outcome":"alert","severity":"WARNING","message":"small","publish":[{"topic":"t","payload":1}]}
 */
import { EventRecord } from "../../rules/event-facts.ts";
import { plain } from "../../rules/expression.ts";
import type { Outcome } from "../outcome.ts";
import { Child } from "./child.ts";
import {
  type HandlerProcess,
  NOTHING_CHANGED,
  type ProcessEvents,
  residentBytes,
} from "./handler-process.ts";
import { outcomeOf } from "./outcome-check.ts";
import { ParcelCursor } from "./parcel.ts";

/** Longest answer. */
const ANSWER_CHARACTERS_MAX = 16 * 1024 * 1024;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** A program says nothing before its first answer; an interpreter on a busy machine takes its time to get there. */
const START_MS = 3000;

export class LineProcess implements HandlerProcess {
  readonly startMs = START_MS;
  readonly #child: Child;
  readonly #events: ProcessEvents;
  readonly #decoder = new TextDecoder();
  readonly #record = new EventRecord();
  #rest = "";
  /** Id of the first request of the batch in hand; ids are never used twice. */
  #firstId = 1;
  #count = 0;
  #answered: boolean[] = [];
  #answeredCount = 0;
  #outcomes = new Map<number, Outcome>();
  #isClosed = false;

  /** @throws {Error} When the program cannot be started. */
  constructor(command: readonly string[], events: ProcessEvents) {
    this.#events = events;
    this.#child = new Child(command, {
      onBytes: (bytes) => this.#onBytes(bytes),
      onLine: (line) => {
        if (!this.#isClosed) events.onLine(line);
      },
      onEnd: (reason) => this.#onEnd(reason),
    });
    // It says nothing before the first request: whether it works is seen then.
    queueMicrotask(() => events.onReady({ topics: [] }));
  }

  get memoryBytes(): number {
    return residentBytes(this.#child.pid);
  }

  /** A program keeps what it remembers by itself. */
  restore(): void {}

  run(parcel: Uint8Array, count: number): void {
    this.#firstId += this.#count;
    this.#count = count;
    this.#answered = new Array<boolean>(count).fill(false);
    this.#answeredCount = 0;
    this.#outcomes = new Map();
    const cursor = new ParcelCursor(parcel);
    let lines = "";
    while (cursor.next()) {
      cursor.open(this.#record);
      lines += `${requestOf(this.#firstId + cursor.index, this.#record)}\n`;
    }
    this.#child.write(lines);
  }

  kill(reason: string): void {
    this.#child.kill(reason);
  }

  close(): void {
    this.#isClosed = true;
    this.#child.close();
  }

  #onBytes(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > ANSWER_CHARACTERS_MAX) {
      this.#child.kill(`It wrote an answer of more than ${ANSWER_CHARACTERS_MAX} characters`);
      return;
    }
    for (const line of lines) if (line.trim() !== "") this.#onAnswer(line);
    if (this.#count > 0 && this.#outcomes.size > 0) this.#tell();
  }

  #onAnswer(line: string): void {
    let answer: unknown;
    try {
      answer = JSON.parse(line);
    } catch {
      this.#events.onLine(`no JSON on stdout: ${line.slice(0, 200)}`);
      return;
    }
    const id = typeof answer === "object" && answer !== null && "id" in answer ? Number(answer.id) : NaN;
    const index = id - this.#firstId;
    if (this.#answered[index] !== false) {
      this.#events.onLine(`an answer to nothing that was asked: ${line.slice(0, 200)}`);
      return;
    }
    this.#answered[index] = true;
    this.#answeredCount++;
    const outcome = outcomeOf(answer);
    this.#outcomes.set(
      index,
      typeof outcome === "string" ? { kind: "fail", reason: outcome, isFinal: true } : outcome,
    );
  }

  /** Tells what was answered since the last time. */
  #tell(ended?: string): void {
    const outcomes = this.#outcomes;
    const isLast = ended !== undefined || this.#answeredCount === this.#count;
    this.#outcomes = new Map();
    if (isLast) {
      this.#firstId += this.#count;
      this.#count = 0;
      this.#answered = [];
    }
    this.#events.onResult({
      outcomes,
      isAnswered: (index) => outcomes.has(index),
      isLast,
      changes: NOTHING_CHANGED,
      ...(ended === undefined ? {} : { ended }),
    });
  }

  #onEnd(reason: string): void {
    if (this.#isClosed) return;
    if (this.#count > 0) this.#tell(reason);
    else this.#events.onEnd(reason);
  }
}

/** One request, without its line end: the fields of `GET /api/v1/events` and `id`. */
function requestOf(id: number, event: EventRecord): string {
  const { topic, priority, key, enriched, lane, shard, offset, receivedUs, timeUs } = event;
  let payload: string;
  let encoding: string | undefined;
  if (enriched !== undefined) payload = JSON.stringify(enriched, plain);
  else {
    try {
      payload = utf8.decode(event.payloadBytes);
    } catch {
      payload = Buffer.from(event.payloadBytes).toString("base64");
      encoding = "base64";
    }
  }
  return JSON.stringify({
    id,
    topic,
    payload,
    encoding,
    priority,
    key: key === "" ? undefined : key,
    message_id: event.id === "" ? undefined : event.id,
    headers: event.hasHeaders ? event.headers : undefined,
    time_us: timeUs,
    received_us: receivedUs,
    lane,
    shard,
    offset,
  });
}
