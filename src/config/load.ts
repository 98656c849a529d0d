/**
 * Configuration text → `Config`, or one error with everything that is wrong with it.
 *
 * Text is parsed into a tree with places (`tree.ts`), checked key by key (`schema.ts`), then as a whole
 * (`build.ts`). A wrong key does not hide the others: it is taken out and the rest is checked further.
 * Pure but for what `ConfigSource` brings in.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { EscError } from "../errors.ts";
import { buildConfig } from "./build.ts";
import type { Config } from "./config.ts";
import { feedAdvice } from "./feed-advice.ts";
import { freeze } from "./freeze.ts";
import { raisedQueues, unusedKeys } from "./notices.ts";
import { ConfigError, formatPath, type KeyPath, type PathProblem, type Problem } from "./problems.ts";
import { configSchema } from "./schema.ts";
import { parseTopicsFile, type TopicsFile } from "./topics-file.ts";
import { CONFIG_TEXT_BYTES_MAX, parseTree, pathId, type TreeMap, type TreeValue } from "./tree.ts";
import { describeIssue } from "./unknown-keys.ts";

/** Where a configuration comes from. */
export interface ConfigSource {
  /** Name in messages. */
  readonly file: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Text of a file that the configuration names (`topics_file`, `${file:...}`); throws when unreadable. */
  readText(path: string): string;
}

export interface LoadedConfig {
  /** Complete and deeply frozen. */
  readonly config: Config;
  /** What the user should know though nothing is wrong: keys without effect, skipped lines. */
  readonly notices: readonly Problem[];
  /** Text before expansion of values that contain a `${file:...}`, by `pathId`: print these instead. */
  readonly secrets: ReadonlyMap<string, string>;
}

/**
 * Reads and checks a configuration file. `topics_file` and `${file:...}` are relative to its folder.
 *
 * @throws {ConfigError} With every problem and its place, or that the file cannot be read.
 */
export function loadConfigFile(path: string, environment: ConfigSource["environment"]): LoadedConfig {
  const folder = dirname(resolve(path));
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    throw new EscError("CONFIG_INVALID", `Cannot read configuration ${path}`, {
      cause: error,
      hint: "esc config init writes a commented file",
    });
  }
  return loadConfig(text, {
    file: path,
    environment,
    readText: (named) => readFileSync(resolve(folder, named), "utf8"),
  });
}

/**
 * Checks a configuration text; an empty one is the default configuration.
 *
 * @throws {ConfigError} With every problem and its place.
 */
export function loadConfig(text: string, source: ConfigSource): LoadedConfig {
  const { file } = source;
  if (text.length > CONFIG_TEXT_BYTES_MAX) {
    const message = `a configuration has at most ${CONFIG_TEXT_BYTES_MAX} characters`;
    throw new ConfigError(file, [{ file, line: 1, column: 1, message }]);
  }
  const tree = parseTree(text, source);
  const problems: Problem[] = tree.problems.map((problem) => ({ file, ...problem }));
  if (!tree.sound) throw new ConfigError(file, inOrder(problems));
  const add = (problem: PathProblem) => {
    // A problem quotes the value; of a secret it must not.
    const secret = tree.secrets.get(pathId(problem.path));
    const message = secret === undefined
      ? problem.message
      : `${formatPath(problem.path)}: the content of ${secret} does not fit here`;
    problems.push({ file, ...tree.placeOf(problem), message });
  };

  const whole = structuredClone(tree.root);
  const { checked, wrong } = checkKeys(tree.root, add);
  let config: Config | undefined;
  let topicsFile: TopicsFile = { topics: [], skipped: [] };
  if (checked !== undefined) {
    const report = (path: KeyPath, message: string, at: PathProblem["at"] = "value") => {
      // What was taken out for being wrong leaves gaps that are not the user's.
      if (!wrong.some((taken) => isAbove(taken, path) || isAbove(path, taken))) add({ path, message, at });
    };
    if (checked.topics_file !== null) {
      try {
        topicsFile = parseTopicsFile(source.readText(checked.topics_file));
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        report(["topics_file"], `cannot read topics_file: ${reason}`);
      }
    }
    const readText = (path: string) => source.readText(path);
    config = buildConfig(checked, { fileTopics: topicsFile.topics, readText }, report);
  }
  if (problems.length > 0 || config === undefined || checked === undefined) {
    throw new ConfigError(file, inOrder(problems));
  }
  const notices = [
    ...inOrder(
      [...unusedKeys(whole, checked), ...raisedQueues(whole, checked), ...feedAdvice(config.feeds)].map((
        notice,
      ) => ({
        file,
        ...tree.placeOf(notice),
        message: notice.message,
      })),
    ),
    ...topicsFile.skipped.map((skipped) => ({ file: checked.topics_file ?? file, ...skipped })),
  ];
  return { config: freeze(config), notices, secrets: tree.secrets };
}

/** Checks every key of the tree; takes wrong ones out of it, and says which. */
function checkKeys(root: TreeMap, add: (problem: PathProblem) => void) {
  const wrong: KeyPath[] = [];
  let result = configSchema.safeParse(root);
  if (!result.success) {
    for (const issue of result.error.issues) {
      for (const problem of describeIssue(issue)) {
        add(problem);
        wrong.push(problem.path);
        remove(root, problem.path);
      }
    }
    result = configSchema.safeParse(root);
  }
  return { checked: result.success ? result.data : undefined, wrong };
}

/** Removes a key; a list with a wrong element is removed whole, as its other indexes would shift. */
function remove(root: TreeMap, path: KeyPath): void {
  let at: TreeMap = root;
  for (const [index, step] of path.entries()) {
    if (typeof step !== "string") return;
    const next: TreeValue | undefined = Object.hasOwn(at, step) ? at[step] : undefined;
    if (next === undefined) return;
    if (index === path.length - 1 || Array.isArray(next)) {
      delete at[step];
      return;
    }
    if (typeof next === "string") return;
    at = next;
  }
}

/** Whether the one path is the other's, or leads to it. */
function isAbove(one: KeyPath, other: KeyPath): boolean {
  return one.every((step, index) => other[index] === step);
}

function inOrder(problems: readonly Problem[]): Problem[] {
  return [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
}
