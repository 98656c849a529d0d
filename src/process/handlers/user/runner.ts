/**
 * One handler of the user's at work: a batch at a time goes to its process, is watched, and comes back.
 *
 *     waiting → in hand → sent → answered → concluded
 *
 * Nothing of a batch counts before the processor concludes it, and its effects and the handler's state are saved
 * together. When the process ends over a batch, what it has not answered is handled again by a new process with the
 * state from before: of a batch of several, one event after the other, so that the one to blame is known. Processor
 * thread only; everything but the events of the process happens in `turn()`.
 */
import { EventRecord } from "../../rules/event-facts.ts";
import type { Delegator } from "../delegation.ts";
import { type Outcome, SUCCESS } from "../outcome.ts";
import type { HandlerSpec } from "../registry.ts";
import type { BatchResult, HandlerProcess, ProcessEvents } from "./handler-process.ts";
import type { HandlerFile } from "./messages.ts";
import { Parcel, ParcelCursor } from "./parcel.ts";
import { WaitingEvents } from "./waiting.ts";

/** How often a process with a batch in hand is looked at. */
const WATCH_MS = 20;
/** A process between batches is looked at that often. */
const MEMORY_LOOK_MS = 1000;
/** Pause before a new process after one has died, doubled for each that died without an answer. */
const RESTART_MS_MIN = 20;
const RESTART_MS_MAX = 5000;

export interface RunnerHost {
  /** Starts a process of the handler. @throws {Error} When it cannot be started. */
  readonly open: (events: ProcessEvents) => HandlerProcess;
  /** `turn()` has something to do. */
  readonly poke: () => void;
  /** The process was stopped or has died. @param event Whose fault it is, where that is known. */
  readonly onFault: (problem: string, event?: EventRecord) => void;
  /** A version of the handler works from now on, or was refused while the one before goes on. */
  readonly onVersion: (file: HandlerFile) => void;
  readonly onRefused: (problem: string, isOldAtWork: boolean) => void;
  readonly onLine: (line: string) => void;
}

/** Counted since start. */
export interface HandlerCounts {
  success: number;
  alert: number;
  drop: number;
  /** Attempts that failed. */
  fail: number;
  /** Processes that were stopped or have died. */
  faults: number;
}

export class HandlerRunner {
  readonly counts: HandlerCounts = { success: 0, alert: 0, drop: 0, fail: 0, faults: 0 };
  spec: HandlerSpec;
  readonly #host: RunnerHost;
  readonly #waiting = new WaitingEvents();
  readonly #state = new Map<string, string>();
  readonly #record = new EventRecord();
  #hand: Parcel | undefined;
  /** By index of the event in hand: whether it is concluded. */
  #isDone: boolean[] = [];
  /** Events in hand that were sent, by their order there; `undefined`: all. */
  #sent: readonly number[] | undefined;
  #isSent = false;
  #results: BatchResult[] = [];
  /** One event after the other: one of the batch in hand has ended the process. */
  #isCareful = false;
  readonly #outgoing = new Parcel();

  #process: HandlerProcess | undefined;
  #isReady = false;
  #isRestored = false;
  /** The process has answered once, so it is up. */
  #hasAnswered = false;
  #candidate: HandlerProcess | undefined;
  #isCandidateReady = false;
  #refusal: string | undefined;
  #failuresInRow = 0;
  #restart: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setTimeout> | undefined;
  #aliveMs = 0;
  #isOverdue = false;
  #memoryLookMs = 0;
  #isClosed = false;

  constructor(spec: HandlerSpec, host: RunnerHost) {
    this.spec = spec;
    this.#host = host;
    this.#start();
  }

  get isFull(): boolean {
    return this.#waiting.isFull && this.#refusal === undefined;
  }

  get isIdle(): boolean {
    return this.#hand === undefined && this.#waiting.count === 0;
  }

  /** Whether it works, or is known not to. */
  get isSettled(): boolean {
    return this.#isReady || this.#refusal !== undefined;
  }

  get isUp(): boolean {
    return this.#isReady;
  }

  /** Events not concluded. */
  get waitingCount(): number {
    return this.#waiting.count + (this.#hand?.count ?? 0);
  }

  add(event: EventRecord, isFirst: boolean): void {
    this.#waiting.add(event, isFirst);
  }

  /** Concludes what was answered, sends what waits. @returns Whether anything was concluded. */
  turn(delegator: Delegator): boolean {
    let concluded = this.#results.length > 0;
    for (const result of this.#results) this.#conclude(result, delegator);
    if (concluded) this.#results = [];
    if (this.#isSent) return concluded;
    if (this.#isCandidateReady) this.#swap();
    if (this.#waiting.isFull && this.#refusal !== undefined) {
      return this.#refuseBatch(delegator, this.#refusal);
    }
    if (!this.#isReady) return concluded;
    while (!this.#isSent && this.#take()) if (this.#send(delegator)) concluded = true;
    return concluded;
  }

  /** Has a new version take over after the batch in hand. */
  replace(): void {
    this.#candidate?.close();
    this.#isCandidateReady = false;
    const refuse = (problem: string) => {
      this.#candidate = undefined;
      this.#host.onRefused(problem, this.#isReady);
    };
    try {
      const candidate: HandlerProcess = this.#host.open(this.#eventsOf(() => candidate, refuse));
      this.#candidate = candidate;
    } catch (error) {
      refuse(error instanceof Error ? error.message : String(error));
    }
  }

  countOf(lane: string, shard: number): number {
    let count = 0;
    for (const { cursor } of this.#open()) if (cursor.isOf(lane, shard)) count++;
    return count;
  }

  /** What is not concluded, without what waits for another attempt elsewhere; and what it remembers. */
  save(): unknown {
    const parcel = new Parcel();
    for (const { cursor } of this.#open()) parcel.addRecord(cursor);
    return {
      topics: this.spec.topics,
      state: [...this.#state],
      events: Buffer.from(parcel.bytes).toString("base64"),
    };
  }

  /** Before the first event. */
  load(saved: SavedHandler): void {
    for (const [name, text] of saved.state) this.#state.set(name, text);
    this.#waiting.addAll(new Uint8Array(Buffer.from(saved.events, "base64")));
    if (this.spec.topics.length === 0) this.spec = { ...this.spec, topics: saved.topics };
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#restart);
    clearTimeout(this.#watch);
    this.#candidate?.close();
    this.#process?.close();
  }

  /** Ends the process at once. */
  abort(): void {
    this.close();
    this.#process?.kill("esc ends");
  }

  #start(): void {
    this.#isReady = false;
    this.#isRestored = false;
    this.#hasAnswered = false;
    try {
      const process: HandlerProcess = this.#host.open(this.#eventsOf(() => process, (problem) => {
        this.#refusal = problem;
        this.#host.onRefused(problem, false);
        this.#restartLater();
      }));
      this.#process = process;
    } catch (error) {
      this.#process = undefined;
      this.#refusal = error instanceof Error ? error.message : String(error);
      this.#host.onRefused(this.#refusal, false);
      this.#restartLater();
    }
  }

  /** @param onRefused It has ended before it was ready. */
  #eventsOf(self: () => HandlerProcess, onRefused: (problem: string) => void): ProcessEvents {
    let isReady = false;
    const isMine = () => !this.#isClosed && (self() === this.#process || self() === this.#candidate);
    return {
      onReady: (file) => {
        if (!isMine()) return;
        isReady = true;
        if (self() === this.#candidate) this.#isCandidateReady = true;
        else {
          this.#isReady = true;
          this.#refusal = undefined;
        }
        this.#host.onVersion(file);
        this.#host.poke();
      },
      onResult: (result) => {
        if (!isMine() || self() !== this.#process) return;
        this.#aliveMs = performance.now();
        this.#hasAnswered = true;
        this.#results.push(result);
        if (result.isLast) clearTimeout(this.#watch);
        if (result.ended !== undefined) this.#lose();
        else this.#failuresInRow = 0;
        this.#host.poke();
      },
      onEnd: (reason) => {
        if (!isMine()) return;
        if (!isReady) {
          onRefused(reason);
          return;
        }
        if (self() === this.#candidate) {
          this.#candidate = undefined;
          this.#isCandidateReady = false;
          return;
        }
        this.#fault(reason);
        this.#lose();
      },
      onLine: this.#host.onLine,
    };
  }

  /** The new version takes the place of the one before, with what that remembers. */
  #swap(): void {
    clearTimeout(this.#restart);
    this.#process?.close();
    this.#process = this.#candidate;
    this.#candidate = undefined;
    this.#isCandidateReady = false;
    this.#isReady = true;
    this.#isRestored = false;
    this.#hasAnswered = false;
    this.#refusal = undefined;
    this.#failuresInRow = 0;
  }

  /** The process is gone; another is started a little later. */
  #lose(): void {
    this.#isReady = false;
    this.#process = undefined;
    this.#restartLater();
  }

  #restartLater(): void {
    const pauseMs = Math.min(RESTART_MS_MAX, RESTART_MS_MIN * 2 ** this.#failuresInRow++);
    clearTimeout(this.#restart);
    this.#restart = setTimeout(() => this.#start(), pauseMs);
  }

  #fault(problem: string, event?: EventRecord): void {
    this.counts.faults++;
    this.#host.onFault(problem, event);
  }

  /** Takes the next batch in hand, unless there is one. @returns Whether there is one. */
  #take(): boolean {
    if (this.#hand !== undefined) return true;
    const parcel = this.#waiting.take();
    if (parcel === undefined) return false;
    this.#hand = parcel;
    this.#isDone = new Array<boolean>(parcel.count).fill(false);
    this.#isCareful = false;
    return true;
  }

  /** Sends what may be tried of the batch in hand. @returns Whether anything was concluded instead. */
  #send(delegator: Delegator): boolean {
    const hand = this.#hand;
    const process = this.#process;
    if (hand === undefined || process === undefined) return false;
    let concluded = false;
    const sent: number[] = [];
    const outgoing = this.#outgoing;
    outgoing.clear();
    const cursor = new ParcelCursor(hand.bytes);
    while (cursor.next()) {
      if (this.#isDone[cursor.index] === true) continue;
      if (!cursor.isFirst) {
        cursor.open(this.#record);
        if (delegator.isHeld(this.#record)) {
          this.#finish(cursor.index, { kind: "behind" }, delegator);
          concluded = true;
          continue;
        }
      }
      sent.push(cursor.index);
      if (this.#isCareful) {
        outgoing.addRecord(cursor);
        break;
      }
    }
    if (sent.length === 0) {
      this.#putDown();
      return true;
    }
    const isWhole = sent.length === hand.count;
    if (!isWhole && !this.#isCareful) {
      const again = new ParcelCursor(hand.bytes);
      let next = 0;
      while (again.next()) {
        if (again.index !== sent[next]) continue;
        outgoing.addRecord(again);
        next++;
      }
    }
    this.#sent = isWhole ? undefined : sent;
    this.#isSent = true;
    if (!this.#isRestored) process.restore([...this.#state]);
    this.#isRestored = true;
    const parcel = isWhole ? hand : outgoing;
    process.run(parcel.bytes, parcel.count);
    this.#aliveMs = performance.now();
    this.#isOverdue = false;
    if (this.#aliveMs - this.#memoryLookMs > MEMORY_LOOK_MS) this.#lookAtMemory(process);
    this.#watch = setTimeout(() => this.#look(), WATCH_MS);
    return concluded;
  }

  /** Stops a process that takes too long for an event, or too much memory. */
  #look(): void {
    const process = this.#process;
    if (process === undefined || !this.#isSent) return;
    const { budgetMs } = this.spec;
    const startMs = this.#hasAnswered ? 0 : process.startMs;
    if (performance.now() - this.#aliveMs > budgetMs + startMs + WATCH_MS) {
      // Its answer may lie unread behind what this thread has done meanwhile: seen twice, it is overdue.
      if (this.#isOverdue) process.kill(`It took more than ${budgetMs} ms for one event`);
      this.#isOverdue = true;
    } else this.#isOverdue = false;
    this.#lookAtMemory(process);
    this.#watch = setTimeout(() => this.#look(), WATCH_MS);
  }

  #lookAtMemory(process: HandlerProcess): void {
    this.#memoryLookMs = performance.now();
    const { memoryBytesMax } = this.spec;
    if (process.memoryBytes > memoryBytesMax) {
      process.kill(`It used more than ${Math.round(memoryBytesMax / 1048576)} MiB of memory`);
    }
  }

  #conclude(result: BatchResult, delegator: Delegator): void {
    const hand = this.#hand;
    if (hand === undefined) return;
    for (const [name, text] of result.changes) {
      if (text === null) this.#state.delete(name);
      else this.#state.set(name, text);
    }
    const sent = this.#sent;
    const sentCount = sent?.length ?? hand.count;
    const cursor = new ParcelCursor(hand.bytes);
    let isBlamed = false;
    for (let order = 0; order < sentCount && cursor.next();) {
      const { index } = cursor;
      if (index !== (sent?.[order] ?? order)) continue;
      if (this.#isDone[index] !== true) {
        if (result.isAnswered(order)) {
          cursor.open(this.#record);
          this.#finish(index, result.outcomes.get(order) ?? SUCCESS, delegator);
        } else if (result.ended !== undefined && !isBlamed) {
          isBlamed = true;
          cursor.open(this.#record);
          this.#blame(index, result.ended, sentCount === 1, delegator);
        }
      }
      order++;
    }
    if (!result.isLast) return;
    this.#isSent = false;
    if (this.#isDone.every((isDone) => isDone)) this.#putDown();
  }

  /** The process has ended over a batch. Only of a single event is it known that it is the one to blame. */
  #blame(index: number, problem: string, isKnown: boolean, delegator: Delegator): void {
    this.#isCareful = true;
    this.#fault(problem, isKnown ? this.#record : undefined);
    if (isKnown) this.#finish(index, { kind: "fail", reason: problem }, delegator);
  }

  /** The event that the record shows is done. */
  #finish(index: number, outcome: Outcome, delegator: Delegator): void {
    this.#isDone[index] = true;
    if (outcome.kind !== "behind") this.counts[outcome.kind]++;
    delegator.conclude(this.spec.name, this.#record, outcome);
  }

  #putDown(): void {
    if (this.#hand !== undefined) this.#waiting.recycle(this.#hand);
    this.#hand = undefined;
    this.#isDone = [];
    this.#isCareful = false;
  }

  /** Its file is no handler and too much waits for it: the oldest become dead letters, so that others go on. */
  #refuseBatch(delegator: Delegator, refusal: string): boolean {
    if (!this.#take() || this.#hand === undefined) return false;
    const cursor = new ParcelCursor(this.#hand.bytes);
    while (cursor.next()) {
      if (this.#isDone[cursor.index] === true) continue;
      cursor.open(this.#record);
      const reason = `The handler does not work: ${refusal}`;
      this.#finish(cursor.index, { kind: "fail", reason, isFinal: true }, delegator);
    }
    this.#putDown();
    return true;
  }

  /** All that is not concluded and is not part of the retries, in order. */
  *#open(): Generator<{ readonly cursor: ParcelCursor }> {
    const hand = this.#hand;
    for (const parcel of [...(hand === undefined ? [] : [hand]), ...this.#waiting.parcels()]) {
      const cursor = new ParcelCursor(parcel.bytes);
      while (cursor.next()) {
        if (parcel === hand && this.#isDone[cursor.index] === true) continue;
        if (!cursor.isFirst) yield { cursor };
      }
    }
  }
}

/** What `save()` gives. */
export interface SavedHandler {
  readonly topics: readonly string[];
  readonly state: readonly (readonly [string, string])[];
  readonly events: string;
}
