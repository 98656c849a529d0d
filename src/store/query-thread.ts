/**
 * Questions to a SQLite file, asked of a thread of their own: SQLite answers on the calling thread, and a sum over
 * millions of rows would hold up every other client of the main thread.
 *
 * The thread is started by a question and ended when there was none for a while, so it costs nothing where nobody
 * asks. When a question misses its deadline the thread is given up, and the questions behind it are asked again of
 * the next one, within their own deadlines. SQLite cannot be interrupted from here: a thread that was given up ends
 * with its statement, and while too many do not, questions are refused.
 */
import { Worker } from "node:worker_threads";
import type { CompiledQuery } from "kysely";
import { EscError } from "../errors.ts";
import { QueryMeter } from "./query-meter.ts";
import type { QueryAnswer, QueryRequest } from "./query-worker.ts";
import type { SelectResult, SqlRunner } from "./reader.ts";

/** Questions that may wait; more are refused. */
const WAITING_MAX = 1000;
/** Threads given up that may still be at their last statement. */
const ENDING_MAX = 3;
/** The thread is ended when nobody asked for so long. */
const IDLE_MS = 60_000;

export interface QueryThreadOptions {
  /** The SQLite file. */
  readonly path: string;
  /** Where `query-worker.ts` is. */
  readonly url: URL;
  /** Time for one question, its wait for others included. */
  readonly deadlineMs: number;
}

interface Question {
  readonly request: QueryRequest;
  readonly resolve: (rows: unknown[] | SelectResult) => void;
  readonly reject: (error: EscError) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

type Asked =
  | { readonly sql: string; readonly parameters: readonly (string | number | null)[] }
  | { readonly sql: string; readonly rowsMax: number };

export class QueryThread implements SqlRunner {
  readonly kind = "sqlite";
  readonly meter = new QueryMeter();
  readonly #options: QueryThreadOptions;
  /** In the order they were asked: the first is the one the thread is at. */
  readonly #questions = new Map<number, Question>();
  #worker: Worker | undefined;
  #idle: ReturnType<typeof setTimeout> | undefined;
  #nextId = 0;
  /** Threads that were given up and have not ended. */
  #ending = 0;
  #isClosed = false;

  constructor(options: QueryThreadOptions) {
    this.#options = options;
  }

  async run<Row>(query: CompiledQuery<Row>): Promise<Row[]> {
    const parameters = query.parameters as (string | number | null)[];
    return await this.meter.measure(() => this.#ask({ sql: query.sql, parameters })) as Row[];
  }

  async select(sql: string, rowsMax: number): Promise<SelectResult> {
    return await this.meter.measure(() => this.#ask({ sql, rowsMax })) as SelectResult;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const id of [...this.#questions.keys()]) {
      this.#take(id)?.reject(new EscError("SHUTTING_DOWN", "The store is being closed"));
    }
    this.#end();
  }

  #ask(asked: Asked): Promise<unknown[] | SelectResult> {
    const { deadlineMs } = this.#options;
    if (this.#isClosed) throw new EscError("SHUTTING_DOWN", "The store is being closed");
    if (this.#questions.size >= WAITING_MAX) {
      throw new EscError("STORE_UNAVAILABLE", `${WAITING_MAX} questions wait for the store`);
    }
    if (this.#ending > ENDING_MAX) {
      throw new EscError("STORE_UNAVAILABLE", `${this.#ending} questions that took too long still run`, {
        hint: "Ask for less at once: a narrower time range, fewer keys",
      });
    }
    clearTimeout(this.#idle);
    return new Promise((resolve, reject) => {
      const request: QueryRequest = { id: this.#nextId++, ...asked };
      const timer = setTimeout(() => this.#giveUp(request.id), deadlineMs);
      this.#questions.set(request.id, { request, resolve, reject, timer });
      this.#thread().postMessage(request);
    });
  }

  #thread(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const { url, path } = this.#options;
    const worker = new Worker(url, { workerData: { path } });
    worker.on("message", (answer: QueryAnswer) => this.#answered(answer));
    worker.on("error", (error: unknown) => this.#failed(worker, error));
    worker.unref();
    this.#worker = worker;
    return worker;
  }

  #answered(answer: QueryAnswer): void {
    const question = this.#take(answer.id);
    if ("rows" in answer) question?.resolve(answer.rows);
    else question?.reject(new EscError(answer.code, answer.message));
    if (this.#questions.size === 0) {
      this.#idle = setTimeout(() => this.#end(), IDLE_MS);
      this.#idle.unref();
    }
  }

  /** A question is late. The thread is at the oldest one: when that is it, the thread must go. */
  #giveUp(id: number): void {
    const [oldest] = this.#questions.keys();
    const { deadlineMs } = this.#options;
    this.#take(id)?.reject(new EscError("TIMEOUT", `The store did not answer within ${deadlineMs} ms`));
    if (id === oldest) this.#startAgain();
  }

  #failed(worker: Worker, error: unknown): void {
    if (worker !== this.#worker) return;
    const [oldest] = this.#questions.keys();
    const problem = new EscError("STORE_UNAVAILABLE", `The store did not answer: ${String(error)}`, {
      cause: error,
    });
    // Whatever it was, asking it again could end the next thread, too.
    if (oldest !== undefined) this.#take(oldest)?.reject(problem);
    this.#startAgain();
  }

  #startAgain(): void {
    this.#end();
    for (const { request } of this.#questions.values()) this.#thread().postMessage(request);
  }

  #take(id: number): Question | undefined {
    const question = this.#questions.get(id);
    this.#questions.delete(id);
    clearTimeout(question?.timer);
    return question;
  }

  #end(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker === undefined) return;
    this.#ending++;
    void worker.terminate().then(() => this.#ending--);
  }
}
