/**
 * All handlers of the user's: those of the configuration and those that lie in the folder of handlers.
 *
 * Each has a runner with a process of its own, so that one that is stuck, dies or is slow holds up nobody else,
 * until as much waits for it as may. Files that change are loaded beside the version at work and take its place
 * between two batches. Processor thread only.
 */
import { EventRecord } from "../../rules/event-facts.ts";
import type { Delegation, Delegator } from "../delegation.ts";
import type { HandlerSpec } from "../registry.ts";
import { filesOf, handlersIn, versionOf, VersionWatch } from "./folder.ts";
import type { HandlerProcess, ProcessEvents } from "./handler-process.ts";
import { LineProcess } from "./line-process.ts";
import { ModuleProcess } from "./module-process.ts";
import { Parcel, ParcelCursor } from "./parcel.ts";
import { type HandlerCounts, HandlerRunner, type SavedHandler } from "./runner.ts";

/** How often files are looked at. */
const LOOK_MS = 500;
/** Handlers that are not ready by then do not hold up the start. */
const READY_MS_MAX = 15_000;
/** Lines of a handler's stderr told in one second. */
const LINES_MAX = 20;

export interface DeskOptions {
  /** Handlers of the configuration that are no built-in ones. */
  readonly specs: readonly HandlerSpec[];
  /** Folder whose files are handlers, and what holds for them unless they say otherwise. */
  readonly folder?: {
    readonly path: string;
    readonly defaults: Omit<HandlerSpec, "name" | "use" | "topics">;
  };
  /** Starts a process that hosts the TypeScript file given as one more argument. */
  readonly hostCommand: readonly string[];
}

export interface DeskHost {
  /** `turn()` has something to do. */
  readonly poke: () => void;
  readonly report: (level: "info" | "warn" | "error", message: string) => void;
  /** Something a person should know of. */
  readonly alert: (handler: string, message: string, event: EventRecord | undefined) => void;
  /** Handlers have come or gone, or want other topics. */
  readonly onHandlers: (specs: readonly HandlerSpec[]) => void;
}

/** A handler as `/metrics` shows it. */
export interface HandlerFacts extends HandlerCounts {
  readonly name: string;
  readonly waiting: number;
  readonly isUp: boolean;
}

interface Entry {
  readonly runner: HandlerRunner;
  readonly watch: VersionWatch;
  readonly isOfFolder: boolean;
}

export class HandlerDesk implements Delegation {
  readonly #options: DeskOptions;
  readonly #host: DeskHost;
  readonly #entries = new Map<string, Entry>();
  /** Events of handlers that are gone. */
  readonly #orphans = new Map<string, Parcel>();
  readonly #lines = new Map<string, { second: number; count: number }>();
  readonly #told = new Map<string, string>();
  readonly #timer: ReturnType<typeof setInterval>;

  private constructor(options: DeskOptions, host: DeskHost) {
    this.#options = options;
    this.#host = host;
    for (const spec of options.specs) this.#add(spec, false);
    this.#lookAtFolder();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Starts all handlers, and waits until each works or is known not to. */
  static async open(options: DeskOptions, host: DeskHost): Promise<HandlerDesk> {
    const desk = new HandlerDesk(options, host);
    const deadlineMs = performance.now() + READY_MS_MAX;
    const isSettled = () => [...desk.#entries.values()].every(({ runner }) => runner.isSettled);
    while (!isSettled() && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    desk.#tellHandlers();
    return desk;
  }

  get isFull(): boolean {
    for (const { runner } of this.#entries.values()) if (runner.isFull) return true;
    return false;
  }

  get isIdle(): boolean {
    for (const { runner } of this.#entries.values()) if (!runner.isIdle) return false;
    return this.#orphans.size === 0;
  }

  /** All handlers, with the topics they want now. */
  specs(): readonly HandlerSpec[] {
    return [...this.#entries.values()].map(({ runner }) => runner.spec);
  }

  /** What is known of each. */
  facts(): readonly HandlerFacts[] {
    return [...this.#entries.values()].map(({ runner }) => ({
      name: runner.spec.name,
      ...runner.counts,
      waiting: runner.waitingCount,
      isUp: runner.isUp,
    }));
  }

  delegate({ name }: HandlerSpec, event: EventRecord, isFirst: boolean): void {
    const runner = this.#entries.get(name)?.runner;
    if (runner === undefined) this.#orphan(name).add(event, isFirst);
    else runner.add(event, isFirst);
  }

  turn(delegator: Delegator): boolean {
    let concluded = this.#orphans.size > 0 && this.#concludeOrphans(delegator);
    for (const { runner } of this.#entries.values()) if (runner.turn(delegator)) concluded = true;
    return concluded;
  }

  countOf(lane: string, shard: number): number {
    let count = 0;
    for (const { runner } of this.#entries.values()) {
      if (!runner.isIdle) count += runner.countOf(lane, shard);
    }
    return count;
  }

  save(): unknown {
    return Object.fromEntries([...this.#entries].map(([name, { runner }]) => [name, runner.save()]));
  }

  load(saved: unknown): readonly string[] {
    const forgotten: string[] = [];
    for (const [name, handler] of Object.entries(saved as Readonly<{ [name: string]: SavedHandler }>)) {
      const runner = this.#entries.get(name)?.runner;
      if (runner !== undefined) runner.load(handler);
      else {
        if (handler.events !== "") this.#orphan(name).addAll(Buffer.from(handler.events, "base64"));
        if (handler.state.length > 0) forgotten.push(name);
      }
    }
    this.#tellHandlers();
    return forgotten;
  }

  close(): void {
    clearInterval(this.#timer);
    for (const { runner } of this.#entries.values()) runner.close();
  }

  /** Ends all processes at once. */
  abort(): void {
    for (const { runner } of this.#entries.values()) runner.abort();
  }

  #add(spec: HandlerSpec, isOfFolder: boolean): void {
    const { name } = spec;
    const runner = new HandlerRunner(spec, {
      open: (events) => this.#open(spec, events),
      poke: this.#host.poke,
      onFault: (problem, event) => {
        this.#host.report("error", `handler ${name}: ${problem}; a new process takes its place`);
        if (event !== undefined) this.#host.alert(name, `Handler ${name} was stopped: ${problem}`, event);
      },
      onVersion: ({ topics, budgetMs, attempts, pauseMs }) => {
        this.#told.delete(name);
        if (!isOfFolder) return;
        const entry = this.#entries.get(name);
        if (entry === undefined) return;
        entry.runner.spec = {
          ...spec,
          topics,
          ...(budgetMs === undefined ? {} : { budgetMs }),
          ...(attempts === undefined ? {} : { attemptsMax: attempts }),
          ...(pauseMs === undefined ? {} : { pauseMs }),
        };
        this.#tellHandlers();
      },
      onRefused: (problem, isOldAtWork) => {
        // A file that cannot be loaded is tried again and again: told once.
        if (this.#told.get(name) === problem) return;
        this.#told.set(name, problem);
        const rest = isOldAtWork ? "the version before goes on" : "its events wait";
        this.#host.report("error", `handler ${name} cannot be loaded: ${problem}; ${rest}`);
        this.#host.alert(name, `Handler ${name} cannot be loaded: ${problem}; ${rest}`, undefined);
      },
      onLine: (line) => this.#tellLine(name, line),
    });
    this.#entries.set(name, { runner, watch: new VersionWatch(versionOf(filesOf(spec))), isOfFolder });
  }

  #open({ use, command }: HandlerSpec, events: ProcessEvents): HandlerProcess {
    return command === undefined
      ? new ModuleProcess([...this.#options.hostCommand, use], events)
      : new LineProcess(command, events);
  }

  #look(): void {
    this.#lookAtFolder();
    for (const [name, { runner, watch }] of this.#entries) {
      if (!watch.look(versionOf(filesOf(runner.spec)))) continue;
      this.#host.report("info", `handler ${name} has changed: a new version is loaded`);
      runner.replace();
    }
  }

  #lookAtFolder(): void {
    const { folder } = this.#options;
    if (folder === undefined) return;
    const files = handlersIn(folder.path);
    for (const [name, use] of files) {
      if (!this.#entries.has(name)) this.#add({ ...folder.defaults, name, use, topics: [] }, true);
    }
    for (const [name, { runner, isOfFolder }] of this.#entries) {
      // It goes when it has handled what waits for it.
      if (!isOfFolder || files.has(name)) continue;
      if (runner.spec.topics.length > 0) {
        runner.spec = { ...runner.spec, topics: [] };
        this.#tellHandlers();
      }
      if (!runner.isIdle) continue;
      this.#host.report("info", `handler ${name} is gone`);
      runner.close();
      this.#entries.delete(name);
    }
  }

  #tellHandlers(): void {
    this.#host.onHandlers(this.specs());
  }

  #tellLine(name: string, line: string): void {
    const second = Math.floor(performance.now() / 1000);
    let lines = this.#lines.get(name);
    if (lines === undefined || lines.second !== second) this.#lines.set(name, lines = { second, count: 0 });
    if (++lines.count <= LINES_MAX) this.#host.report("info", `handler ${name}: ${line}`);
  }

  #orphan(name: string): Parcel {
    let parcel = this.#orphans.get(name);
    if (parcel === undefined) this.#orphans.set(name, parcel = new Parcel());
    return parcel;
  }

  #concludeOrphans(delegator: Delegator): boolean {
    const event = new EventRecord();
    for (const [name, parcel] of this.#orphans) {
      const cursor = new ParcelCursor(parcel.bytes);
      while (cursor.next()) {
        cursor.open(event);
        const reason = `There is no handler "${name}" any more`;
        delegator.conclude(name, event, { kind: "fail", reason, isFinal: true });
      }
    }
    this.#orphans.clear();
    return true;
  }
}
