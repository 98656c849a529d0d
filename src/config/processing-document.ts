/** Rules, windows and handlers in the form of the file. */
import { PRIORITY_NAMES } from "../event/frame.ts";
import type { RuleSpec, StateSpec } from "../process/rules/spec.ts";
import type { AggregateSpec, ShapeSpec, WindowSpec } from "../process/windows/spec.ts";
import type { ProcessingConfig } from "./config.ts";
import type { Document } from "./document.ts";
import { formatDuration, formatSize } from "./units.ts";

const NONE = "none";

export function processingDocument(processing: ProcessingConfig): Document {
  const { rules, windows, handlers, alerts, retry } = processing;
  return {
    processing: {
      checkpoint_interval: formatDuration(processing.checkpointIntervalMs),
      handlers_dir: processing.handlersFolder?.path ?? NONE,
      start: processing.start,
      retry: {
        max_pause: formatDuration(retry.maxPauseMs),
        jitter: retry.jitter,
        max_parked: retry.maxParked,
      },
    },
    rules: Object.fromEntries(rules.map((rule) => [rule.name, ruleDocument(rule)])),
    windows: Object.fromEntries(windows.map((window) => [window.name, windowDocument(window)])),
    handlers: Object.fromEntries(handlers.map((handler) => [handler.name, {
      use: handler.use === "" ? NONE : handler.use,
      command: handler.command ?? [],
      topics: handler.topics,
      attempts: handler.attemptsMax,
      pause: formatDuration(handler.pauseMs),
      budget: formatDuration(handler.budgetMs),
      memory: formatSize(handler.memoryBytesMax),
    }])),
    alerts: {
      topic: alerts.topic ?? NONE,
      webhooks: alerts.webhooks.map(({ url, timeoutMs, headers }) => ({
        url,
        timeout: formatDuration(timeoutMs),
        headers: Object.fromEntries(headers),
      })),
    },
  };
}

function ruleDocument(rule: RuleSpec): Document {
  const { when, by, state, enrich, alert, publish } = rule;
  return {
    topics: rule.topics,
    when: when ?? NONE,
    filter: rule.filter ?? NONE,
    by: by ?? NONE,
    ...(rule.priority === undefined ? {} : { priority: priorityName(rule.priority) }),
    ...(state === undefined ? {} : stateDocument(state)),
    enrich: Object.fromEntries(enrich),
    ...(alert === undefined ? {} : {
      alert: {
        severity: alert.severity.toLowerCase(),
        message: alert.message,
        cooldown: formatDuration(alert.cooldownMs),
      },
    }),
    ...(publish === undefined ? {} : {
      publish: {
        topic: publish.topic,
        ...(publish.priority === undefined ? {} : { priority: priorityName(publish.priority) }),
        payload: publish.payload ?? NONE,
        key: publish.key ?? NONE,
      },
    }),
    dead_letter: rule.deadLetter !== undefined,
    drop: rule.drop,
  };
}

function stateDocument(state: StateSpec): Document {
  switch (state.kind) {
    case "rate":
      return { rate: { count: state.count, within: formatDuration(state.withinMs) } };
    case "absence":
      return { absence: { for: formatDuration(state.forMs) } };
    case "sequence":
      return { sequence: { steps: state.steps, within: formatDuration(state.withinMs) } };
    case "threshold":
      return { threshold: { value: state.value, above: state.above, below: state.below } };
  }
}

function windowDocument(window: WindowSpec): Document {
  return {
    topics: window.topics,
    when: window.when ?? NONE,
    by: window.by ?? NONE,
    time: window.time ?? NONE,
    ...shapeDocument(window.shape),
    aggregates: Object.fromEntries(
      window.aggregates.map((aggregate) => [aggregate.name, aggregateText(aggregate)]),
    ),
    max_out_of_orderness: formatDuration(window.outOfOrderMs),
    idle_timeout: formatDuration(window.idleMs),
    allowed_lateness: formatDuration(window.lateMs),
    late_topic: window.lateTopic ?? NONE,
    emit: window.emit,
    interval: formatDuration(window.intervalMs),
    topic: window.topic,
    priority: priorityName(window.priority),
    max_keys: window.keysMax,
  };
}

function shapeDocument(shape: ShapeSpec): Document {
  switch (shape.kind) {
    case "tumbling":
      return { tumbling: formatDuration(shape.sizeMs) };
    case "hopping":
      return { hopping: { size: formatDuration(shape.sizeMs), every: formatDuration(shape.everyMs) } };
    case "session":
      return { session: formatDuration(shape.gapMs) };
    case "count":
      return { count: shape.count };
  }
}

function aggregateText({ kind, parameter, value }: AggregateSpec): string {
  const word = kind === "percentile"
    ? `p${String(parameter).replace(".", "_")}`
    : kind === "top"
    ? `top${parameter}`
    : kind;
  return value === undefined ? word : `${word}(${value})`;
}

function priorityName(priority: number): string {
  return PRIORITY_NAMES[priority] ?? String(priority);
}
