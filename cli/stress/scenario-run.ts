/** `esc stress --scenario`: one phase after the other, each held against its thresholds. */
import { readFileSync } from "node:fs";
import { EscError } from "../../src/errors.ts";
import type { CommandContext } from "../command.ts";
import { stressText, stressValue } from "./report.ts";
import { stress } from "./run.ts";
import { eventsOf, parseScenario, type Phase } from "./scenario.ts";
import { type Breach, breachesOf } from "./thresholds.ts";

export interface ScenarioTarget {
  readonly host: string;
  readonly port?: number | undefined;
  readonly httpPort: number;
}

/** A server that cannot keep up is given so long beyond the plan; what is left then counts as an error. */
const PATIENCE_MS = 30_000;

/** Runs all phases; the exit status is 1 when one has broken a threshold. @throws {EscError} When it cannot go on. */
export async function runScenario(
  file: string,
  target: ScenarioTarget,
  context: CommandContext,
): Promise<void> {
  const { output } = context;
  const { name, phases } = parseScenario(readScenario(file), file);
  const broken: string[] = [];
  const interrupted = context.interrupted();
  for (const phase of phases) {
    if (interrupted.aborted) break;
    output.note(`${name}: ${phase.name}`);
    const { report, isTimed } = await runPhase(phase, target, context);
    const breaches = breachesOf(report, phase.thresholds, isTimed);
    if (breaches.length > 0) broken.push(phase.name);
    output.result(
      { scenario: name, phase: phase.name, passed: breaches.length === 0, breaches, ...stressValue(report) },
      () =>
        [stressText(report, output), ...breaches.map((breach) => output.style("red", textOf(breach)))].join(
          "\n",
        ),
    );
  }
  if (interrupted.aborted) {
    output.note(`${name}: interrupted`);
    process.exitCode = 1;
  } else if (broken.length > 0) {
    output.note(`${name}: failed in ${broken.join(", ")}`);
    process.exitCode = 1;
  } else output.note(`${name}: passed`);
}

async function runPhase(phase: Phase, target: ScenarioTarget, context: CommandContext) {
  const { duration, rate, ramp, acks, clients, size, topics, priority, udp } = phase;
  const isTimed = duration !== undefined && rate === undefined;
  // With a rate all that was due is sent, however late: to leave out what a slow server delays would flatter it.
  const limitMs = duration === undefined ? undefined : duration + (isTimed ? 0 : PATIENCE_MS);
  const stop = limitMs === undefined ? {} : { stop: AbortSignal.timeout(limitMs) };
  const report = await stress({
    ...target,
    clients,
    events: eventsOf(phase),
    size,
    acks,
    topics,
    priority,
    udp,
    rate: rate ?? Infinity,
    inFlight: phase.in_flight,
    verify: phase.thresholds.lost !== undefined,
    ramp: ramp && { fromRate: ramp.from, overMs: ramp.over },
    ...stop,
  }, context);
  return { report, isTimed };
}

function textOf({ threshold, limit, value }: Breach): string {
  const unit = threshold.startsWith("p") || threshold === "max" ? " ms" : "";
  const shown = value === Infinity
    ? "was not measured"
    : `is ${Number(value.toFixed(2)).toLocaleString("en")}${unit}`;
  return `  threshold     ${threshold} ${shown}, the limit is ${limit.toLocaleString("en")}${unit}`;
}

function readScenario(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new EscError("NOT_FOUND", `Cannot read the scenario ${file}`, { cause });
  }
}
