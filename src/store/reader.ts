/**
 * The reading side of the store: pages of events, windows and alerts, last values, and free SELECTs.
 *
 * Any thread may have one. Everything it returns is bounded: a page by its limit, a pattern by the topics it
 * may stand for, a SELECT by its rows.
 */
import type { CompiledQuery } from "kysely";
import { EscError } from "../errors.ts";
import { compilePatterns, patternProblem } from "../event/topic.ts";
import type { RunnerMeters } from "./expose.ts";
import {
  type AlertFilter,
  type Builder,
  type EventFilter,
  type EventPlace,
  type EventResult,
  queryBuilder,
  selectAlerts,
  selectEvents,
  selectLastValues,
  selectTopics,
  selectWindows,
  selectWindowSteps,
  type WindowFilter,
} from "./queries.ts";

/** Topics that one pattern may stand for; beyond, a question must be narrower. */
export const PATTERN_TOPICS_MAX = 1000;
/** Last values looked through for a pattern. */
const TOPICS_SCANNED_MAX = 50_000;

/** Rows of a free SELECT. */
export interface SelectResult {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
  /** Whether there were more rows than asked for. */
  readonly isCut: boolean;
}

/** Runs queries on one database. Each settles within its deadline. */
export interface SqlRunner extends RunnerMeters {
  readonly kind: "sqlite" | "postgres";
  /** @throws {EscError} STORE_UNAVAILABLE, TIMEOUT. */
  run<Row>(query: CompiledQuery<Row>): Promise<Row[]>;
  /**
   * Runs one SELECT that may change nothing: the database itself refuses to write.
   *
   * @throws {EscError} USAGE with what the database says of it.
   */
  select(sql: string, rowsMax: number): Promise<SelectResult>;
  close(): Promise<void>;
}

/** A page, and where the next one begins; no cursor at the end. */
export interface Page<Row> {
  readonly rows: readonly Row[];
  readonly cursor?: string;
}

/** The questions without what the reader finds out itself. */
export type EventQuestion = Omit<EventFilter, "topics" | "after"> & {
  /** Topic or pattern. */
  readonly topic?: string;
  readonly cursor?: string;
};
type Question<Filter> = Omit<Filter, "after"> & { readonly cursor?: string };

export class StoreReader {
  readonly #runner: SqlRunner;
  readonly #builder: Builder;

  constructor(runner: SqlRunner) {
    this.#runner = runner;
    this.#builder = queryBuilder(runner.kind);
  }

  /** For metrics. */
  get meters(): RunnerMeters {
    return this.#runner;
  }

  /** Stored events in the order of their reception. @throws {EscError} USAGE for a bad pattern or cursor. */
  async events(question: EventQuestion): Promise<Page<EventResult>> {
    const { topic, cursor, ...rest } = question;
    const topics = topic === undefined || topic === ">" ? undefined : await this.#topics(topic);
    if (topics?.length === 0) return { rows: [] };
    const filter: EventFilter = {
      ...rest,
      limit: rest.limit + 1,
      ...(topics === undefined ? {} : { topics }),
      ...(cursor === undefined ? {} : { after: eventPlace(cursor) }),
    };
    const rows = await this.#runner.run(selectEvents(this.#builder, filter));
    return page(rows, rest.limit, (row) => [row.received_us, row.log_id, row.log_offset]);
  }

  /** The last value of each topic that matches. */
  async lastValues(pattern: string): Promise<readonly EventResult[]> {
    const topics = await this.#topics(pattern);
    return topics.length === 0 ? [] : await this.#runner.run(selectLastValues(this.#builder, topics));
  }

  async windows(question: Question<WindowFilter>) {
    const { cursor, limit } = question;
    const after = cursor === undefined ? {} : { after: timePlace(cursor) };
    const rows = await this.#runner.run(
      selectWindows(this.#builder, { ...question, ...after, limit: limit + 1 }),
    );
    return page(rows, limit, (row) => [row.start_us, row.window_key]);
  }

  /** Window results put together over steps of `stepUs`. */
  async windowSteps(question: Omit<WindowFilter, "after"> & { readonly stepUs: number }) {
    return await this.#runner.run(selectWindowSteps(this.#builder, question));
  }

  async alerts(question: Question<AlertFilter>) {
    const { cursor, limit } = question;
    const after = cursor === undefined ? {} : { after: timePlace(cursor) };
    const rows = await this.#runner.run(
      selectAlerts(this.#builder, { ...question, ...after, limit: limit + 1 }),
    );
    return page(rows, limit, (row) => [row.raised_us, row.id]);
  }

  /** One SELECT as it was written. */
  async select(sql: string, rowsMax: number): Promise<SelectResult> {
    // A database says nothing at all to nothing, and its client would wait for an answer.
    if (/^(\s|;|--.*$|\/\*[^*]*\*\/)*$/m.exec(sql)?.[0] === sql) {
      throw new EscError("USAGE", "Cannot run the query: there is none");
    }
    return await this.#runner.select(sql, rowsMax);
  }

  async close(): Promise<void> {
    await this.#runner.close();
  }

  /** The topics a pattern stands for: a topic itself, or those with a last value that match. */
  async #topics(pattern: string): Promise<readonly string[]> {
    const problem = patternProblem(pattern);
    if (problem !== undefined) throw new EscError("USAGE", problem);
    const wildcard = pattern.split(/[./]/).findIndex((token) => token === "*" || token === ">");
    if (wildcard < 0) return [pattern];
    const prefix = /^(?:[^./]*[./])*?(?=[*>](?:[./]|$))/.exec(pattern)?.[0] ?? "";
    const range = selectTopics(this.#builder, prefix, above(prefix), TOPICS_SCANNED_MAX);
    const matcher = compilePatterns([pattern]);
    const topics = (await this.#runner.run(range)).map((row) => row.topic).filter((topic) => {
      const bytes = Buffer.from(topic);
      return matcher.matches(bytes, 0, bytes.length);
    });
    if (topics.length > PATTERN_TOPICS_MAX) {
      throw new EscError(
        "USAGE",
        `Pattern "${pattern}" stands for ${topics.length} topics: at most ${PATTERN_TOPICS_MAX} are searched`,
        { hint: "Ask for a narrower pattern, or for > with a time range" },
      );
    }
    return topics;
  }
}

/** The first text in the order of bytes that does not begin with `prefix`: its last ASCII character raised. */
function above(prefix: string): string | undefined {
  // A prefix ends with a separator, whose successor is one character, too.
  return prefix === ""
    ? undefined
    : prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}

function page<Row>(rows: Row[], limit: number, placeOf: (row: Row) => readonly unknown[]): Page<Row> {
  const last = rows[limit - 1];
  if (rows.length <= limit || last === undefined) return { rows };
  const cursor = Buffer.from(JSON.stringify(placeOf(last))).toString("base64url");
  return { rows: rows.slice(0, limit), cursor };
}

function eventPlace(cursor: string): EventPlace {
  const [receivedUs, logId, offset] = placeIn(cursor);
  if (typeof receivedUs === "number" && typeof logId === "number" && typeof offset === "number") {
    return [receivedUs, logId, offset];
  }
  throw badCursor();
}

function timePlace(cursor: string): readonly [us: number, name: string] {
  const [us, name] = placeIn(cursor);
  if (typeof us === "number" && typeof name === "string") return [us, name];
  throw badCursor();
}

function placeIn(cursor: string): readonly unknown[] {
  try {
    const place: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    return Array.isArray(place) ? place : [];
  } catch {
    throw badCursor();
  }
}

function badCursor(): EscError {
  return new EscError("USAGE", "The cursor is none that this server has given");
}
