/**
 * Kills a server again and again while producers publish, and judges after each start what it still has.
 *
 * `bun tests/crash/kill-loop.ts --cycles 1000 --seed 1`: the whole program, as `npm run drill` runs it.
 */
import { parseArgs } from "node:util";
import { EscServer, EXECUTABLE } from "../support/esc.ts";
import { Random } from "../support/seed.ts";
import { type Findings, Judge } from "./judge.ts";
import { CrashProducer, type ServerPlace } from "./producer.ts";

/** One lane each, and two shards of the same: the priorities of the producers. */
const PRIORITIES = [1, 2, 3, 0] as const;
/** How long a server lives, once it is ready. */
const LIFE_MS_MAX = 120;
/** Share of the servers that are killed during their start, and how long those live. */
const STILLBORN_SHARE = 0.1;
const STILLBORN_MS_MAX = 120;

export interface KillLoopResult {
  readonly cycles: number;
  readonly stillborn: number;
  readonly events: number;
  readonly acknowledged: number;
  readonly findings: Findings;
  /** Starts after a kill, milliseconds until `/readyz` said 200. */
  readonly startMs: { readonly median: number; readonly max: number };
}

const CONFIG = {
  lanes: { transactional: { shards: 2 } },
  // Small segments: kills meet rolls too.
  log: { segment_bytes: "4MiB" },
};

/** @param onCycle Told after each cycle, with what was acknowledged so far. */
export async function runKillLoop(
  options: { cycles: number; random: Random; onCycle?: (cycle: number, acknowledged: number) => void },
): Promise<KillLoopResult> {
  const { cycles, random } = options;
  const judge = new Judge();
  const place: ServerPlace = { port: undefined };
  const producers = PRIORITIES.map((priority, number) =>
    new CrashProducer(number, priority, new Random(random.below(2 ** 32)))
  );
  const startsMs: number[] = [];
  let stillborn = 0;
  let server = await EscServer.start({ config: CONFIG });
  const { folder } = server;
  place.port = server.tcpPort;
  const runs = Promise.all(producers.map((producer) => producer.run(place)));
  // A producer that gave up fails the loop where it is awaited, not before.
  runs.catch(() => {});
  try {
    for (let cycle = 1; cycle <= cycles; cycle++) {
      await Bun.sleep(random.below(LIFE_MS_MAX));
      await server.kill();
      place.port = undefined;
      const known = producers.map(({ number, acknowledged }) => ({ number, acknowledged }));
      if (random.chance(STILLBORN_SHARE)) {
        stillborn++;
        await startAndKill(folder, random.below(STILLBORN_MS_MAX));
      }
      const startedMs = performance.now();
      server = await EscServer.start({ folder, config: CONFIG });
      startsMs.push(performance.now() - startedMs);
      place.port = server.tcpPort;
      await judge.read(server);
      judge.requireAcknowledged(known);
      judge.requireNoRefusal(producers);
      if (Object.values(judge.findings).some((found) => found.length > 0)) break;
      options.onCycle?.(cycle, known.reduce((sum, { acknowledged }) => sum + acknowledged, 0));
    }
    for (const producer of producers) producer.stop();
    await runs;
    await judge.read(server);
    judge.requireAcknowledged(
      producers.map(({ number, published }) => ({ number, acknowledged: published })),
    );
    if ((await server.stop()) !== 0) throw new Error(`the server did not end well:\n${server.log}`);
  } finally {
    for (const producer of producers) producer.stop();
    await server.kill();
    if (Object.values(judge.findings).every((found) => found.length === 0)) folder.remove();
    else console.error(`kept: ${folder.root}\n${server.log}`);
  }
  startsMs.sort((a, b) => a - b);
  return {
    cycles,
    stillborn,
    events: judge.eventCount,
    acknowledged: producers.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
    findings: judge.findings,
    startMs: {
      median: Math.round(startsMs[startsMs.length >> 1] ?? 0),
      max: Math.round(startsMs.at(-1) ?? 0),
    },
  };
}

/** Starts a server upon the data and kills it `ms` later, ready or not. */
async function startAndKill(folder: EscServer["folder"], ms: number): Promise<void> {
  const unready = Bun.spawn([EXECUTABLE, "serve", "--config", folder.path("config.yaml")], {
    cwd: folder.root,
    env: {},
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  await Bun.sleep(ms);
  unready.kill("SIGKILL");
  await unready.exited;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { cycles: { type: "string", default: "1000" }, seed: { type: "string", default: "1" } },
  });
  const random = new Random(Number(values.seed));
  console.log(`kill loop: ${values.cycles} cycles, seed ${random.seed}`);
  const result = await runKillLoop({
    cycles: Number(values.cycles),
    random,
    onCycle: (cycle, acknowledged) => {
      if (cycle % 50 === 0) console.log(`${cycle} kills, ${acknowledged} events acknowledged`);
    },
  });
  console.log(JSON.stringify(result));
  process.exitCode = Object.values(result.findings).every((found) => found.length === 0) ? 0 : 1;
}
