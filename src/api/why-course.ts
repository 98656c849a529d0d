/** What lies before an event of a topic on its way, and how far those have come who read the logs. Main thread. */
import type { Config } from "../config/config.ts";
import type { Engine } from "../engine.ts";
import { compilePatterns } from "../event/topic.ts";
import { openCounters } from "../metrics/counters.ts";
import type { WindowSpec } from "../process/windows/spec.ts";
import { SINK_STORED } from "../store/sink-counters.ts";

export interface Route {
  readonly lane: string;
  /** Pattern of the line of the topic table that raises events to this priority; absent: it is the event's own. */
  readonly priorityRule?: string;
  /** Pattern of the line that names the lane; absent: the priority does. */
  readonly laneRule?: string;
}

export interface Stages {
  readonly rules: readonly { readonly name: string; readonly hasCondition: boolean }[];
  readonly windows: readonly WindowSpec[];
  readonly handlers: readonly string[];
}

export interface EventCourse {
  readonly dedup: { readonly windowMs: number; readonly maxIds: number };
  /**
   * What the dispatcher would decide now, without pressure.
   *
   * @param priority As the log has it: what the dispatcher has made of the event's own.
   */
  routeOf(topic: string, priority: number): Route;
  /** Whom the topic concerns; their conditions are theirs. */
  stagesOf(topic: string): Stages;
  isStored(topic: string): boolean;
  /** Age at which events of a lane may go; `undefined`: never because of their age. */
  maxAgeMs(lane: string): number | undefined;
  /** Every event below was processed, but those that wait for another attempt; `undefined`: nothing is processed. */
  processedOffset(shardIndex: number): number | undefined;
  /** Every event below is stored if it is to be; `undefined`: no topics are stored. */
  storedOffset(shardIndex: number): number | undefined;
}

export function courseOf(engine: Engine): EventCourse {
  const { config, memory } = engine;
  const processed = memory.processor === undefined ? undefined : openCounters(memory.processor.processed);
  const sink = memory.sink === undefined ? undefined : openCounters(memory.sink.counters);
  const isFor = (topics: readonly string[], topic: string) =>
    compilePatterns(topics).firstMatchOf(topic) >= 0;
  return {
    get dedup() {
      return engine.applied.dedup;
    },
    routeOf: (topic, priority) => routeOf(engine.applied, topic, priority),
    stagesOf: (topic) => {
      const { rules, windows, handlers } = config.processing;
      return {
        rules: rules.filter(({ topics }) => isFor(topics, topic))
          .map(({ name, when }) => ({ name, hasCondition: when !== undefined })),
        windows: windows.filter(({ topics }) => isFor(topics, topic)),
        handlers: handlers.filter(({ topics }) => isFor(topics, topic)).map(({ name }) => name),
      };
    },
    isStored: (topic) => config.store.topics.length > 0 && isFor(config.store.topics, topic),
    maxAgeMs: (lane) =>
      engine.applied.lanes.find(({ name }) => name === lane)?.retention.maxAgeMs ?? undefined,
    processedOffset: (index) => processed?.[memory.shards.length + index],
    storedOffset: (index) => sink?.[SINK_STORED + index],
  };
}

/** As `dispatch/route.ts` decides: an exact topic goes before patterns, of those the first. */
function routeOf(
  { topics, lanes }: Pick<Config, "topics" | "lanes">,
  topic: string,
  priority: number,
): Route {
  const ruleOf = (rules: Config["topics"]) =>
    rules.find(({ pattern }) => pattern === topic) ??
      rules.find(({ pattern }) => compilePatterns([pattern]).firstMatchOf(topic) >= 0);
  const raising = ruleOf(topics.filter((rule) => rule.priority !== null));
  const placing = ruleOf(topics.filter((rule) => rule.lane !== null));
  return {
    lane: placing?.lane ?? lanes.find(({ priorities }) => priorities.includes(priority))?.name ?? "",
    ...(raising?.priority === priority ? { priorityRule: raising.pattern } : {}),
    ...(placing === undefined ? {} : { laneRule: placing.pattern }),
  };
}
