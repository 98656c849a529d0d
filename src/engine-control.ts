/**
 * The control plane at work: reads what all threads count, has it judged, and carries the verdict out.
 *
 * Main is the only one who decides; the dispatcher and the processor read what they are to do from their control
 * words. What an operator has said goes first: while the engine is paused or drains by hand, nothing is judged and
 * nothing is shed. Main thread only.
 */
import type { Config } from "./config/config.ts";
import type { EngineMemory } from "./engine-memory.ts";
import { LatencyWindow, WatchedShard } from "./engine-readings.ts";
import { PRIORITY_CRITICAL, REJECT_REASONS } from "./event/frame.ts";
import { type Figures, FigureWindow, type Reading } from "./control/figures.ts";
import { Judge, type JudgeLimits, type Verdict } from "./control/judge.ts";
import { type Actions, actionsOf, type Level, numberOf } from "./control/levels.ts";
import { SlaWatch } from "./control/sla.ts";
import type { Logger } from "./logging/logger.ts";
import { openCounters } from "./metrics/counters.ts";
import { Histogram } from "./metrics/histogram.ts";
import { SHARD_PROCESS } from "./metrics/latency.ts";
import { SOURCE_REJECTED } from "./metrics/layout.ts";
import type { AlertBoard } from "./process/alerts/board.ts";
import type { Alert } from "./process/alerts/alert.ts";
import { ThreadControl } from "./queue/control.ts";
import { Doorbell } from "./queue/doorbell.ts";
import { nowUs } from "./system/clock.ts";

/** Looks at the queues in one interval: what stands in a queue at all of them stood there all the time. */
const LOOKS = 8;
const LOOK_MS_MIN = 5;
/** Looks after which a level may be left: recovery need not wait for the end of an interval. */
const LOOKS_TO_RELAX = 2;
/** So many times in a row it must be found better. */
const RELAXED_MIN = 2;

const BACKPRESSURE = REJECT_REASONS.indexOf("backpressure");

export interface ControlParts {
  readonly logger: Logger;
  readonly alerts: AlertBoard;
}

/** What the outside is shown. */
export interface Standing {
  readonly state: Actions["state"];
  readonly level: Level;
  readonly reasons: readonly string[];
  readonly holdsProcessing: boolean;
}

export class EngineControl {
  readonly #memory: EngineMemory;
  readonly #parts: ControlParts;
  readonly #dispatcher: ThreadControl;
  readonly #processor: { readonly control: ThreadControl; readonly doorbell: Doorbell } | undefined;
  readonly #shards: readonly WatchedShard[];
  /** By lane, those with critical events. */
  readonly #slas: ReadonlyMap<string, { readonly watch: SlaWatch; readonly latencies: readonly Histogram[] }>;
  readonly #judge: Judge;
  readonly #window: FigureWindow;
  readonly #interval = new LatencyWindow();
  /** Of the last looks only. */
  readonly #recentWindow: FigureWindow;
  readonly #recentInterval = new LatencyWindow();
  #lookCount = 0;
  #relaxedCount = 0;
  #config: Config["control"];
  #timer: ReturnType<typeof setInterval> | undefined;
  #intervalStartMs = 0;
  #level: Level = "HEALTHY";
  #acting: Level = "HEALTHY";
  #reasons: readonly string[] = [];

  constructor(config: Config, memory: EngineMemory, parts: ControlParts) {
    this.#config = config.control;
    this.#memory = memory;
    this.#parts = parts;
    this.#dispatcher = new ThreadControl(memory.dispatcher.control);
    const { processor } = memory;
    this.#processor = processor === undefined
      ? undefined
      : { control: new ThreadControl(processor.control), doorbell: new Doorbell(processor.doorbell) };
    const lanes = memory.shards.filter((shard) => shard.lane !== undefined);
    this.#shards = lanes.map((shard) => new WatchedShard(shard));
    const limits = limitsOf(config.control);
    this.#judge = new Judge(limits);
    this.#window = new FigureWindow(limits);
    this.#recentWindow = new FigureWindow(limits, this.#window);
    const promised = lanes.filter(({ lane }) => lane?.priorities.includes(PRIORITY_CRITICAL));
    this.#slas = new Map(promised.map(({ info: { lane } }) => [lane, {
      watch: new SlaWatch(config.control.sla),
      latencies: promised.filter(({ info }) => info.lane === lane).map(({ info, latencies }) =>
        new Histogram(processor?.shardLatencies[info.index] ?? latencies, SHARD_PROCESS)
      ),
    }]));
  }

  /** Begins to watch. */
  start(): void {
    this.#forget();
    const lookMs = Math.max(LOOK_MS_MIN, this.#config.healthCheckIntervalMs / LOOKS);
    this.#timer = setInterval(() => this.#look(), lookMs);
  }

  /** An operator has taken over: nothing is judged, shed or held until `start()`. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#judge.reset();
    this.#window.reset();
    this.#level = "HEALTHY";
    this.#reasons = [];
    this.#act("HEALTHY");
  }

  /** An operator says that all is well: it is judged anew, and whatever was shed or held goes on. */
  reset(): void {
    if (this.#level !== "HEALTHY" || this.#acting !== "HEALTHY") {
      this.#parts.logger.info("health judged anew: resumed by hand", { level: this.#level });
    }
    this.stop();
    this.start();
  }

  /** Goes on by another configuration. */
  apply(config: Config): void {
    const { control } = config;
    const isRunning = this.#timer !== undefined;
    const isOtherInterval = control.healthCheckIntervalMs !== this.#config.healthCheckIntervalMs;
    this.#config = control;
    const limits = limitsOf(control);
    this.#judge.limits = limits;
    this.#window.limits = limits;
    this.#recentWindow.limits = limits;
    for (const { watch } of this.#slas.values()) watch.limits = control.sla;
    if (!isRunning || !isOtherInterval) return;
    clearInterval(this.#timer);
    this.start();
  }

  get standing(): Standing {
    const { state, holdsProcessing } = actionsOf(this.#acting);
    return {
      state,
      level: this.#level,
      reasons: this.#reasons,
      holdsProcessing: holdsProcessing && this.#processor !== undefined,
    };
  }

  /** Events of each lane with critical ones that took longer than `control.sla` promises, since start. */
  lateEvents(): readonly (readonly [lane: string, count: number])[] {
    this.#watchSlas(performance.now());
    return [...this.#slas].map(([lane, { watch }]) => [lane, watch.late]);
  }

  #look(): void {
    const nowMs = performance.now();
    const reading = this.#read(nowMs);
    this.#watchSlas(nowMs);
    if (nowMs - this.#intervalStartMs < this.#config.healthCheckIntervalMs) {
      this.#window.sample(reading);
      this.#relax(reading);
      return;
    }
    this.#begin(nowMs);
    const figures = this.#window.close(reading, this.#interval.p99Ms(this.#latencies()));
    if (figures === undefined) return;
    const verdict = this.#judge.check(figures);
    if (this.#config.policies.verboseLogging) {
      this.#parts.logger.info("health check", { health: verdict.level, ...rounded(figures) });
    }
    this.#carryOut(verdict);
  }

  /** Between checks: leaves a level when the last looks have nothing against it. */
  #relax(reading: Reading): void {
    if (++this.#lookCount % LOOKS_TO_RELAX !== 0) {
      this.#recentWindow.sample(reading);
      return;
    }
    const figures = this.#recentWindow.close(reading, this.#recentInterval.p99Ms(this.#latencies()));
    const share = LOOKS_TO_RELAX / LOOKS;
    if (figures === undefined || !this.#judge.wouldRelax(figures, share)) {
      this.#relaxedCount = 0;
      return;
    }
    if (++this.#relaxedCount < RELAXED_MIN) return;
    this.#carryOut(this.#judge.relax(figures, share));
    // What was before must not count against the new level.
    this.#begin(reading.nowMs);
    this.#window.restart();
    this.#window.sample(reading);
    this.#interval.p99Ms(this.#latencies());
  }

  #begin(nowMs: number): void {
    this.#intervalStartMs = nowMs;
    this.#relaxedCount = 0;
  }

  #carryOut(verdict: Verdict): void {
    const before = this.#level;
    this.#level = verdict.level;
    this.#reasons = verdict.reasons;
    const { logger } = this.#parts;
    if (!verdict.isNew) return;
    this.#act(verdict.acting);
    const facts = { before, state: actionsOf(verdict.acting).state, reasons: verdict.reasons.join("; ") };
    if (numberOf(verdict.level) > numberOf(before)) logger.warn(`health ${verdict.level}`, facts);
    else logger.info(`health ${verdict.level}`, facts);
    this.#alert(verdict, before);
  }

  #act(level: Level): void {
    this.#acting = level;
    const { shedBelow, holdsProcessing } = actionsOf(level);
    this.#dispatcher.shedBelow = shedBelow;
    if (this.#processor === undefined) return;
    this.#processor.control.isHolding = holdsProcessing;
    this.#processor.doorbell.alarm();
  }

  /** Levels at which something is done are for somebody to know. */
  #alert({ level, reasons }: Verdict, before: Level): void {
    if (numberOf(level) <= numberOf(before) || numberOf(level) < numberOf("DEGRADED")) return;
    const severity = level === "DEGRADED" ? "WARNING" : level === "CRITICAL" ? "CRITICAL" : "EMERGENCY";
    this.#raise("control", severity, `Health is ${level}: ${reasons.join("; ")}`, { level, before });
  }

  #watchSlas(nowMs: number): void {
    for (const [lane, { watch, latencies }] of this.#slas) {
      const breach = watch.look(latencies, nowMs);
      if (breach === undefined) continue;
      const { maxLatencyMs } = this.#config.sla;
      const message =
        `SLA breach: ${breach.late} of ${breach.events} events of lane ${lane} took longer than ` +
        `${maxLatencyMs} ms`;
      this.#raise("sla", "WARNING", message, { lane, ...breach });
    }
  }

  #raise(rule: string, severity: Alert["severity"], message: string, context: unknown): void {
    const raisedUs = nowUs();
    this.#parts.alerts.add({
      id: `${rule}:${raisedUs}`,
      rule,
      severity,
      message,
      raisedUs,
      source: "",
      topic: "",
      key: "",
      eventId: "",
      suppressed: 0,
      context,
    });
  }

  /** From reception until stored, since start; batch events have time. */
  #latencies(): Histogram {
    const sum = Histogram.empty();
    for (const shard of this.#shards) if (shard.hasHaste) sum.add(shard.latencies);
    return sum;
  }

  #forget(): void {
    const nowMs = performance.now();
    const reading = this.#read(nowMs);
    this.#window.reset();
    this.#window.sample(reading);
    this.#interval.p99Ms(this.#latencies());
    this.#recentWindow.restart();
    this.#recentWindow.sample(reading);
    this.#recentInterval.p99Ms(this.#latencies());
    this.#begin(nowMs);
  }

  #read(nowMs: number): Reading {
    let refused = 0;
    for (const { counters } of this.#memory.sources) {
      refused += openCounters(counters)[SOURCE_REJECTED + BACKPRESSURE] ?? 0;
    }
    return { nowMs, shards: this.#shards.map((shard) => shard.read()), refused };
  }
}

function limitsOf({ thresholds, policies }: Config["control"]): JudgeLimits {
  return { ...thresholds, maxUnhealthyCycles: policies.maxUnhealthyCycles, autoResume: policies.autoResume };
}

function rounded({ events, queuePercent, queue, dropPercent, latencyMs }: Figures) {
  const tenth = (value: number) => Math.round(value * 10) / 10;
  return {
    events,
    queue_percent: tenth(queuePercent),
    ...(queue === "" ? {} : { queue }),
    drop_percent: tenth(dropPercent),
    latency_p99_ms: tenth(latencyMs),
  };
}
