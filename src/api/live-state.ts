/** How the server is doing, in words: what an operator reads first. */
import { DROP_REASONS, REJECT_REASONS } from "../event/frame.ts";
import { type Counts, type LaneCounts, total } from "../metrics/snapshot.ts";
import type { EngineView, LaneState, PipelineView } from "./engine-view.ts";

export interface LiveState {
  readonly pipeline: string;
  readonly health: PipelineView["health"];
  /** Whether it should get traffic. */
  readonly ready: boolean;
  /** Whole sentences, the gravest first. */
  readonly reasons: readonly string[];
  readonly lanes: Readonly<Record<string, LaneState | "failed">>;
}

/** Part of a queue from which it is worth a word; the health of the pipeline changes there, too. */
const DEPTH_SHARE = 0.5;

/**
 * Judges two readings.
 *
 * @param before An earlier reading; what happened since is told.
 * @param seconds Time between the two.
 */
export function judge(engine: EngineView, now: Counts, before: Counts, seconds: number): LiveState {
  const { state, health, reasons: judged } = engine.pipeline();
  const notReady = engine.notReadyReasons();
  const span = `in the last ${seconds === 1 ? "second" : `${seconds} s`}`;
  const reasons = [
    ...notReady.map((reason) => `Not ready: ${reason}`),
    ...judged.map(sentence),
    ...(state === "PAUSED" ? ["Paused: lanes take nothing out of their queues until it is resumed"] : []),
    ...now.lanes.flatMap((lane, index) => [
      ...lossOf(lane, before.lanes[index], span),
      ...fullness(lane),
    ]),
    ...lostLetters(now, before, span),
    ...refusals(now, before, span),
    ...(now.pausedConnections > 0
      ? [`${plural(now.pausedConnections, "connection")} held back: their lane is full`]
      : []),
  ];
  return {
    pipeline: state,
    health,
    ready: notReady.length === 0,
    reasons,
    lanes: Object.fromEntries(
      now.lanes.map((
        { name, shards },
      ) => [name, shards.some((shard) => shard.isFailed) ? "failed" : engine.laneState(name)]),
    ),
  };
}

function lossOf(lane: LaneCounts, before: LaneCounts | undefined, span: string): string[] {
  return DROP_REASONS.flatMap((reason, index) => {
    const dropped = (lane.dropped[index] ?? 0) - (before?.dropped[index] ?? 0);
    return dropped > 0 ? [`Lane ${lane.name} dropped ${plural(dropped, "event")} (${reason}) ${span}`] : [];
  });
}

function fullness({ name, shards }: LaneCounts): string[] {
  const share = total(shards.map((shard) => shard.depthBytes)) /
    Math.max(1, total(shards.map((shard) => shard.capacityBytes)));
  if (share <= DEPTH_SHARE) return [];
  const percent = Math.round(share * 100);
  // What is parked waits outside of the queue, and is counted with it.
  return [
    share > 1
      ? `Queue of lane ${name} is full: ${percent} % of its size wait`
      : `Queue of lane ${name} is ${percent} % full`,
  ];
}

function lostLetters(now: Counts, before: Counts, span: string): string[] {
  const lost = now.deadLettersLost - before.deadLettersLost;
  return lost > 0 ? [`${plural(lost, "dead letter")} lost ${span}: the dead-letter queue was full`] : [];
}

function refusals(now: Counts, before: Counts, span: string): string[] {
  return REJECT_REASONS.flatMap((reason, index) => {
    const refused = (now.rejected[index] ?? 0) - (before.rejected[index] ?? 0);
    return refused > 0 ? [`${plural(refused, "event")} refused (${reason}) ${span}`] : [];
  });
}

function sentence(reason: string): string {
  return `${reason.slice(0, 1).toUpperCase()}${reason.slice(1)}`;
}

function plural(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
