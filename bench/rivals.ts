/**
 * The same work on esc and on other servers of this machine, in turns: one client publishes messages of 128 bytes
 * over loopback with a window of unanswered ones; the time ends when the server has answered for the last.
 *
 * Every server says how durable an answered message is. A ratio is given only between equals: what is synced is not
 * compared with what is kept in memory. (esc has no answer that means "written but not synced": what others answer
 * from the page cache is shown without a ratio.)
 */
import { EscError } from "../src/errors.ts";
import { type Dialect, dialects } from "./dialects.ts";
import { nanoseconds, spreadOf } from "./figure.ts";
import { publishAll } from "./publish-all.ts";
import { RivalProcess } from "./rival-process.ts";

/** Where an answered message is: lost with the process, with the machine, or with the disk only. */
export type Durability = "memory" | "page cache" | "fsync";

export interface RivalResult {
  readonly server: string;
  readonly settings: string;
  readonly durability: Durability;
  readonly events_per_s: number;
  readonly ns_per_event: number;
  readonly ns_min: number;
  readonly ns_max: number;
  /** Rate of esc against this server; `null` where the durability differs from every way esc ran. */
  readonly esc_ratio: number | null;
}

export interface RivalOptions {
  readonly servers: readonly string[];
  readonly rounds: number;
  readonly scale: number;
  readonly esc: readonly string[];
  readonly interrupted: AbortSignal;
  readonly onResult: (result: RivalResult) => void;
  readonly onNote: (note: string) => void;
}

/** Messages of a round by durability: rounds of about the same length. */
const MESSAGES: Readonly<Record<Durability, number>> = {
  memory: 500_000,
  "page cache": 500_000,
  fsync: 200_000,
};
const NAMES = ["nats", "redis", "mosquitto"];

interface Runner {
  readonly dialect: Dialect;
  readonly process: RivalProcess;
  readonly rounds: number[];
}

/** Runs a round of each in turn. @throws {EscError} `USAGE` for a server nobody knows. */
export async function measureAgainst(options: RivalOptions): Promise<void> {
  const unknown = options.servers.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) {
    throw new EscError("USAGE", `There is no comparison with "${unknown}"`, {
      hint: `There are ${NAMES.join(", ")}`,
    });
  }
  const runners: Runner[] = [];
  try {
    for (const dialect of dialects(options.esc)) {
      if (dialect.server !== "esc" && !options.servers.includes(dialect.server)) continue;
      const [program = ""] = dialect.command("", 0);
      if (Bun.which(program) === null) {
        options.onNote(`${dialect.server} is left out: ${program} is not installed`);
        continue;
      }
      runners.push({ dialect, process: await RivalProcess.start(dialect), rounds: [] });
    }
    for (let round = -1; round < options.rounds; round++) {
      for (const { dialect, process, rounds } of runners) {
        if (options.interrupted.aborted) return;
        const count = Math.max(1, Math.round(MESSAGES[dialect.durability] * options.scale));
        const ns = await publishAll(dialect, process.port, count);
        if (round >= 0) rounds.push(ns / count);
      }
    }
    for (const runner of runners) options.onResult(resultOf(runner, runners));
  } finally {
    for (const { process } of runners) await process.remove();
  }
}

function resultOf({ dialect, rounds }: Runner, all: readonly Runner[]): RivalResult {
  const { server, settings, durability } = dialect;
  const { median, min, max } = spreadOf(rounds);
  const own = all.find((other) => other.dialect.server === "esc" && other.dialect.durability === durability);
  const isComparable = own !== undefined && server !== "esc";
  return {
    server,
    settings,
    durability,
    events_per_s: Math.round(1e9 / median),
    ns_per_event: median,
    ns_min: min,
    ns_max: max,
    esc_ratio: isComparable ? median / spreadOf(own.rounds).median : null,
  };
}

/** `redis  appendfsync always  fsync  0.21 M/s  …  esc is 9.1 times as fast` */
export function resultText(result: RivalResult): string {
  const { server, settings, durability, events_per_s, ns_per_event, ns_min, ns_max, esc_ratio } = result;
  const spread = `${nanoseconds(ns_per_event)} (${nanoseconds(ns_min)} to ${nanoseconds(ns_max)})`;
  const ratio = server === "esc"
    ? ""
    : esc_ratio === null
    ? "no ratio: esc was not run with this durability"
    : `esc is ${esc_ratio.toFixed(2)} times as fast`;
  return `${server.padEnd(10)} ${settings.padEnd(44)} ${durability.padEnd(10)} ` +
    `${(events_per_s / 1e6).toFixed(3).padStart(7)} M/s  ${spread.padEnd(34)} ${ratio}`.trimEnd();
}
