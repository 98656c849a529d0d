/** Topic rules: from `topics`, from the lanes' own lists, and from the topics file. */
import { PRIORITY_NAMES } from "../event/frame.ts";
import { patternProblem } from "../event/topic.ts";
import type { LaneConfig, TopicRule } from "./config.ts";
import { parsePriority } from "./leaves.ts";
import type { Report } from "./problems.ts";
import type { CheckedFile } from "./schema.ts";
import { didYouMean } from "./suggest.ts";
import type { TopicLine } from "./topics-file.ts";

/** Rules at most: the table is searched for every topic seen. */
export const TOPIC_RULES_MAX = 10_000;

/**
 * All rules, each pattern once: what the file says wins over the topics file, and a lane's own list
 * adds the lane to a rule that has only a priority.
 */
export function resolveTopics(
  topics: CheckedFile["topics"],
  lanes: readonly LaneConfig[],
  fileTopics: readonly TopicLine[],
  report: Report,
): TopicRule[] {
  const rules = new Map<string, TopicRule>();
  const laneNames = lanes.map((lane) => lane.name);
  for (const [pattern, target] of Object.entries(topics)) {
    const path = ["topics", pattern];
    const problem = patternProblem(pattern);
    if (problem !== undefined) report(path, `topics: ${problem}`, "key");
    const { priority = null, lane = null } = typeof target === "string"
      ? targetOf(target, laneNames, (message) => report(path, message))
      : target;
    if (typeof target !== "string") {
      if (lane !== null && !laneNames.includes(lane)) {
        const message = `topics.${pattern}.lane: there is no lane "${lane}"${didYouMean(lane, laneNames)}`;
        report([...path, "lane"], message);
      }
      if (lane === null && priority === null) {
        report(path, `topics.${pattern} must have a priority or a lane`);
      }
    }
    rules.set(pattern, { pattern, priority, lane, source: "config" });
  }
  for (const lane of lanes) addLaneTopics(rules, lane, report);
  for (const { pattern, priority } of fileTopics) {
    if (!rules.has(pattern)) rules.set(pattern, { pattern, priority, lane: null, source: "topics_file" });
  }
  if (rules.size > TOPIC_RULES_MAX) {
    report(["topics"], `there are ${rules.size} topic rules, at most ${TOPIC_RULES_MAX} are allowed`, "key");
  }
  return [...rules.values()];
}

function targetOf(
  target: string,
  laneNames: readonly string[],
  report: (message: string) => void,
): { priority: number | null; lane: string | null } {
  // The lane first: "batch" is a lane, and as a priority it would change nothing.
  if (laneNames.includes(target)) return { priority: null, lane: target };
  const priority = parsePriority(target);
  if (priority !== undefined) return { priority, lane: null };
  report(
    `"${target}" is neither a priority (${PRIORITY_NAMES.join(", ")}) nor a lane` +
      didYouMean(target, [...PRIORITY_NAMES, ...laneNames]),
  );
  return { priority: 0, lane: null };
}

function addLaneTopics(rules: Map<string, TopicRule>, lane: LaneConfig, report: Report): void {
  for (const [index, pattern] of lane.topics.entries()) {
    const path = ["lanes", lane.name, "topics", index];
    const problem = patternProblem(pattern);
    if (problem !== undefined) report(path, `lanes.${lane.name}.topics: ${problem}`);
    const rule = rules.get(pattern);
    if (rule !== undefined && rule.lane !== null && rule.lane !== lane.name) {
      report(
        path,
        `topic "${pattern}" already goes to lane "${rule.lane}", it cannot go to "${lane.name}", too`,
      );
    }
    rules.set(pattern, {
      pattern,
      priority: rule?.priority ?? null,
      lane: lane.name,
      source: rule?.source ?? "lane",
    });
  }
}
