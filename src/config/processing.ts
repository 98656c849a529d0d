/** Rules, windows and handlers of the checked file: expressions compiled once to see that they are good. */
import { patternProblem, topicProblem } from "../event/topic.ts";
import { PRIORITY_MEDIUM } from "../event/frame.ts";
import { BUILTIN_NAMES } from "../process/handlers/builtin.ts";
import type { HandlerSpec } from "../process/handlers/registry.ts";
import { compileExpression, type ExpressionKind, isProblem } from "../process/rules/expression.ts";
import type { RuleSpec, StateSpec } from "../process/rules/spec.ts";
import { compileTemplate, isTemplateProblem } from "../process/rules/template.ts";
import type { AggregateKind, AggregateSpec, ShapeSpec, WindowSpec } from "../process/windows/spec.ts";
import type { HandlersFolder, ProcessingConfig } from "./config.ts";
import { formatPath, type KeyPath, type Report } from "./problems.ts";
import type { CheckedFile } from "./schema.ts";
import { severityOf } from "./schema-processing.ts";
import { didYouMean } from "./suggest.ts";

/** Most rules, windows and handlers each. */
const NAMED_MAX = 10_000;
/** Panes one event may belong to. */
const HOPS_MAX = 1000;
/** What the keys of `handlers` are by default: it holds for the files of `handlers_dir`. */
const FOLDER_DEFAULTS: HandlersFolder["defaults"] = {
  attemptsMax: 3,
  pauseMs: 10,
  budgetMs: 1000,
  memoryBytesMax: 512 * 1024 * 1024,
};
const NAME = /^[A-Za-z0-9_-]{1,63}$/;
const AGGREGATES: readonly AggregateKind[] = [
  "count",
  "sum",
  "min",
  "max",
  "avg",
  "first",
  "last",
  "stddev",
  "distinct",
];

/** What results of windows hold beside their aggregates. */
const RESULT_FIELDS: readonly string[] = ["window", "key", "start", "end", "revision", "closed", "replaces"];

type RuleInput = CheckedFile["rules"][string];
type HandlerInput = CheckedFile["handlers"][string];
type WindowInput = CheckedFile["windows"][string];

/** Everything that is configured to happen behind the log. */
export function processingConfig(file: CheckedFile, report: Report): ProcessingConfig {
  const check = new Checks(report);
  for (const section of ["rules", "windows", "handlers"] as const) {
    check.names(section, Object.keys(file[section]));
  }
  return {
    checkpointIntervalMs: file.processing.checkpoint_interval,
    start: file.processing.start,
    retry: {
      maxPauseMs: file.processing.retry.max_pause,
      jitter: file.processing.retry.jitter,
      maxParked: file.processing.retry.max_parked,
    },
    rules: Object.entries(file.rules).map(([name, rule]) => ruleSpec(name, rule, check)),
    windows: Object.entries(file.windows).map(([name, window]) => windowSpec(name, window, check)),
    handlers: Object.entries(file.handlers).map(([name, handler]) => handlerSpec(name, handler, check)),
    handlersFolder: file.processing.handlers_dir === null
      ? null
      : { path: file.processing.handlers_dir, defaults: FOLDER_DEFAULTS },
    alerts: {
      ...(file.alerts.topic === null ? {} : { topic: check.topic(["alerts", "topic"], file.alerts.topic) }),
      webhooks: file.alerts.webhooks.map(({ url, timeout, headers }, index) => {
        // The URL may hold a secret: it is not quoted.
        if (!/^https?:$/.test(URL.parse(url)?.protocol ?? "")) {
          check.report(
            ["alerts", "webhooks", index, "url"],
            "must be a URL such as https://example.com/hook",
          );
        }
        return { url, timeoutMs: timeout, headers: Object.entries(headers) };
      }),
    },
  };
}

function handlerSpec(name: string, handler: HandlerInput, check: Checks): HandlerSpec {
  const path = ["handlers", name];
  const { use, command, topics, attempts, pause, budget, memory } = handler;
  if ((use === null) === (command.length === 0)) {
    check.report(path, `${formatPath(path)} needs either use or command`, "key");
  }
  // A file has a dot or a slash in its name.
  if (use !== null && !/[./]/.test(use) && !BUILTIN_NAMES.some((builtin) => builtin === use)) {
    check.report(
      [...path, "use"],
      `there is no built-in handler "${use}"${
        didYouMean(use, BUILTIN_NAMES)
      }; a file has a dot or a slash in its name`,
    );
  }
  return {
    name,
    use: use ?? "",
    ...(command.length === 0 ? {} : { command }),
    topics: check.patterns([...path, "topics"], topics),
    attemptsMax: attempts,
    pauseMs: pause,
    budgetMs: budget,
    memoryBytesMax: memory,
  };
}

function ruleSpec(name: string, rule: RuleInput, check: Checks): RuleSpec {
  const path = ["rules", name];
  const { when, filter, by, alert, priority } = rule;
  const publish = rule.route === null ? rule.publish : { topic: rule.route, payload: null, key: null };
  const publishPath = rule.route === null ? [...path, "publish", "topic"] : [...path, "route"];
  if (rule.route !== null && rule.publish !== undefined) {
    check.report([...path, "route"], `${formatPath(path)} has both route and publish: route publishes, too`);
  }
  const state = stateSpec(path, rule, check);
  if (state === undefined && by !== null && alert === undefined) {
    check.report([...path, "by"], `${formatPath(path)}.by needs rate, absence, sequence, threshold or alert`);
  }
  const acts = alert !== undefined || publish !== undefined || rule.drop || rule.dead_letter ||
    filter !== null || priority !== undefined ||
    Object.keys(rule.enrich).length > 0;
  if (!acts) {
    check.report(
      path,
      `${
        formatPath(path)
      } does nothing: give it alert, publish, route, enrich, priority, filter, drop or dead_letter`,
      "key",
    );
  }
  return {
    name,
    topics: check.patterns([...path, "topics"], rule.topics),
    ...(when === null ? {} : { when: check.expression([...path, "when"], when, "condition") }),
    ...(by === null ? {} : { by: check.expression([...path, "by"], by, "any") }),
    ...(state === undefined ? {} : { state }),
    ...(filter === null ? {} : { filter: check.expression([...path, "filter"], filter, "condition") }),
    ...(priority === undefined ? {} : { priority }),
    enrich: Object.entries(rule.enrich).map(([field, value]) => [
      field,
      check.expression([...path, "enrich", field], value, "any"),
    ]),
    ...(alert === undefined ? {} : {
      alert: {
        severity: severityOf(alert.severity),
        message: check.template([...path, "alert", "message"], alert.message),
        cooldownMs: alert.cooldown,
      },
    }),
    ...(publish === undefined ? {} : {
      publish: {
        topic: check.template(publishPath, publish.topic),
        ...(publish.priority === undefined ? {} : { priority: publish.priority }),
        ...(publish.payload === null
          ? {}
          : { payload: check.expression([...path, "publish", "payload"], publish.payload, "any") }),
        ...(publish.key === null
          ? {}
          : { key: check.expression([...path, "publish", "key"], publish.key, "any") }),
      },
    }),
    ...(rule.dead_letter ? { deadLetter: "processing_failed" } : {}),
    drop: rule.drop || rule.route !== null,
  };
}

function stateSpec(path: KeyPath, rule: RuleInput, check: Checks): StateSpec | undefined {
  const { rate, absence, sequence, threshold } = rule;
  const given = Object.entries({ rate, absence, sequence, threshold }).filter(([, value]) =>
    value !== undefined
  );
  const [, second] = given;
  if (second !== undefined) {
    check.report(
      [...path, second[0]],
      `${formatPath(path)} has more than one of rate, absence, sequence, threshold`,
    );
  }
  if (rate !== undefined) return { kind: "rate", count: rate.count, withinMs: rate.within };
  if (absence !== undefined) return { kind: "absence", forMs: absence.for };
  if (sequence !== undefined) {
    if (sequence.steps.length < 2) {
      check.report([...path, "sequence", "steps"], "a sequence has at least two steps");
    }
    const steps = sequence.steps.map((step, index) =>
      check.expression([...path, "sequence", "steps", index], step, "condition")
    );
    return { kind: "sequence", steps, withinMs: sequence.within };
  }
  if (threshold === undefined) return undefined;
  const { value, above, below } = threshold;
  if (below > above) {
    check.report(
      [...path, "threshold", "below"],
      `${formatPath(path)}.threshold.below must not be above ${above}`,
    );
  }
  return {
    kind: "threshold",
    value: check.expression([...path, "threshold", "value"], value, "number"),
    above,
    below,
  };
}

function windowSpec(name: string, window: WindowInput, check: Checks): WindowSpec {
  const path = ["windows", name];
  const { when, by, time, late_topic: lateTopic } = window;
  const topic = window.topic ?? `window.${name}`;
  const topics = check.patterns([...path, "topics"], window.topics);
  const aggregates = Object.entries(window.aggregates);
  if (aggregates.length === 0) {
    check.report(
      [...path, "aggregates"],
      `${formatPath(path)} computes nothing: give it count, or more`,
      "key",
    );
  }
  for (const [aggregate] of aggregates) {
    if (!RESULT_FIELDS.includes(aggregate)) continue;
    check.report(
      [...path, "aggregates", aggregate],
      `"${aggregate}" is part of every result: give the aggregate another name`,
      "key",
    );
  }
  return {
    name,
    topics,
    ...(when === null ? {} : { when: check.expression([...path, "when"], when, "condition") }),
    ...(by === null ? {} : { by: check.expression([...path, "by"], by, "any") }),
    ...(time === null ? {} : { time: check.expression([...path, "time"], time, "any") }),
    shape: shapeSpec(path, window, check),
    aggregates: aggregates.map(([aggregate, text]) =>
      aggregateSpec([...path, "aggregates", aggregate], aggregate, text, check)
    ),
    outOfOrderMs: window.max_out_of_orderness,
    idleMs: window.idle_timeout,
    lateMs: window.allowed_lateness,
    ...(lateTopic === null ? {} : { lateTopic: check.topic([...path, "late_topic"], lateTopic) }),
    emit: window.emit,
    intervalMs: window.interval,
    topic: check.topic([...path, "topic"], topic),
    priority: window.priority ?? PRIORITY_MEDIUM,
    keysMax: window.max_keys,
  };
}

function shapeSpec(path: KeyPath, window: WindowInput, check: Checks): ShapeSpec {
  const { tumbling, hopping, session, count } = window;
  const given = Object.entries({ tumbling, hopping, session, count }).filter(([, value]) =>
    value !== undefined
  );
  if (given.length !== 1) {
    check.report(path, `${formatPath(path)} needs exactly one of tumbling, hopping, session, count`, "key");
  }
  if (hopping !== undefined) {
    const { size, every } = hopping;
    if (every > size) {
      check.report(
        [...path, "hopping", "every"],
        "every must not be above size: events between windows would be lost",
      );
    } else if (size / every > HOPS_MAX) {
      check.report([...path, "hopping", "every"], `an event would belong to more than ${HOPS_MAX} windows`);
    }
    return { kind: "hopping", sizeMs: size, everyMs: every };
  }
  if (session !== undefined) return { kind: "session", gapMs: session };
  if (count !== undefined) return { kind: "count", count };
  return { kind: "tumbling", sizeMs: tumbling ?? 1 };
}

/** `sum(payload.amount)` → what it means. */
function aggregateSpec(path: KeyPath, name: string, text: string, check: Checks): AggregateSpec {
  const [, word = "", inner] = /^\s*(\w+)\s*(?:\(([\s\S]*)\))?\s*$/.exec(text) ?? [];
  const [, percent] = /^p(\d{1,2}(?:_\d+)?)$/.exec(word) ?? [];
  const [, top] = /^top(\d{1,3})$/.exec(word) ?? [];
  let kind = AGGREGATES.find((known) => known === word);
  let parameter = 0;
  if (percent !== undefined) {
    kind = "percentile";
    parameter = Number(percent.replace("_", "."));
  } else if (top !== undefined) {
    kind = "top";
    parameter = Number(top);
  }
  if (kind === undefined || (top !== undefined && parameter === 0)) {
    const known = [...AGGREGATES, "p99", "top3"];
    check.report(path, `"${text}" is no aggregate${didYouMean(word, known)}; there are ${known.join(", ")}`);
    return { name, kind: "count", parameter };
  }
  if (inner === undefined || inner.trim() === "") {
    if (kind !== "count") check.report(path, `${word} needs a value: ${word}(payload.amount)`);
    return { name, kind, parameter };
  }
  const numeric = ["sum", "min", "max", "avg", "stddev", "percentile"].includes(kind);
  return { name, kind, parameter, value: check.expression(path, inner, numeric ? "number" : "any") };
}

/** Checks of values, each with its report. They give the value back, good or not. */
class Checks {
  readonly report: Report;

  constructor(report: Report) {
    this.report = report;
  }

  names(section: string, names: readonly string[]): void {
    for (const name of names) {
      if (!NAME.test(name)) {
        this.report([section, name], `${section}: a name has 1 to 63 letters, digits, "-" and "_"`, "key");
      }
    }
    if (names.length > NAMED_MAX) {
      this.report([section], `${section} has more than ${NAMED_MAX} entries`, "key");
    }
  }

  expression(path: KeyPath, text: string, kind: ExpressionKind): string {
    const made = compileExpression(text, kind);
    if (isProblem(made)) {
      this.report(path, `${formatPath(path)}: ${made.problem}, at character ${made.at + 1}`);
    }
    return text;
  }

  template(path: KeyPath, text: string): string {
    const made = compileTemplate(text);
    if (isTemplateProblem(made)) {
      this.report(path, `${formatPath(path)}: ${made.problem}, at character ${made.at + 1}`);
    }
    return text;
  }

  patterns(path: KeyPath, given: string | readonly string[]): readonly string[] {
    const patterns = typeof given === "string" ? [given] : given;
    if (patterns.length === 0) this.report(path, `${formatPath(path)} needs at least one topic`);
    for (const [index, pattern] of patterns.entries()) {
      const problem = patternProblem(pattern);
      if (problem !== undefined) this.report(typeof given === "string" ? path : [...path, index], problem);
    }
    return patterns;
  }

  topic(path: KeyPath, topic: string): string {
    const problem = topicProblem(topic);
    if (problem !== undefined) this.report(path, problem);
    return topic;
  }
}
