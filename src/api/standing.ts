/** Why a consumer stands where it stands, in plain words. */
import type { WorkingGroup } from "../deliver/groups.ts";

export interface StandingFacts {
  /** Events of the log not confirmed; some may not match. */
  readonly lag: number;
  readonly isPaused: boolean;
  /** Last confirmation, microseconds since the Unix epoch. */
  readonly updatedUs: number;
  /** Absent: no group of this name is at work. */
  readonly group: WorkingGroup | undefined;
  readonly nowMs: number;
}

/** One sentence for a person; the most likely cause first. */
export function explainStanding({ lag, isPaused, updatedUs, group, nowMs }: StandingFacts): string {
  if (lag === 0 && (group === undefined || group.held + group.dead === 0)) {
    return isPaused ? "Has everything; the pipeline is paused, so nothing new comes" : "Has everything";
  }
  const since = `last confirmed ${ago(nowMs - updatedUs / 1000)}`;
  if (group === undefined) return `No member of a group is at work; ${since}`;
  const { held, ready, dead, oldest, members, request } = group;
  if (dead > 0) {
    return `${dead} events failed their last delivery and are on their way to the dead-letter log`;
  }
  if (oldest !== undefined && (ready === 0 || members.every((member) => member.isFull))) {
    return `Waits for "${oldest.member}", which has held ${oldest.shard}@${oldest.offset} for ` +
      `${duration(nowMs - oldest.sinceMs)} (lease ${request.leaseMs / 1000} s); ${held} held, ${ready} ready`;
  }
  if (members.length === 0) return `No member is connected; ${ready} events are ready`;
  if (members.every((member) => member.isFull)) return `Its ${members.length} members take no more now`;
  if (ready === 0 && held === 0 && !group.isReading) {
    return `Nothing of what is left matches ${request.topics.join(" ")}`;
  }
  return `At work: ${held} held, ${ready} ready`;
}

function ago(ms: number): string {
  return `${duration(ms)} ago`;
}

function duration(ms: number): string {
  return ms < 1000 ? "a moment" : `${Math.round(ms / 1000).toLocaleString("en")} s`;
}
