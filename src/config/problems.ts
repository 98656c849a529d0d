/** What is wrong with a configuration: collected, placed, put into words, thrown as one error. */
import { EscError } from "../errors.ts";

export type KeyPath = readonly (string | number)[];

/** A problem of a key, not yet placed. */
export interface PathProblem {
  readonly path: KeyPath;
  /** Whether it is the key that is wrong, or its value. */
  readonly at: "key" | "value";
  /** Whole sentence without a period. */
  readonly message: string;
}

/** Where a check puts a problem it finds; of the value where nothing else is said. */
export type Report = (path: KeyPath, message: string, at?: PathProblem["at"]) => void;

/** A problem, or a notice, with its place. Line and column count from 1. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** Problems told at most; a file that is not a configuration at all has thousands. */
const PROBLEMS_TOLD_MAX = 50;

/** A configuration that is refused, with everything that is wrong with it in the order of the file. */
export class ConfigError extends EscError {
  readonly problems: readonly Problem[];

  constructor(file: string, problems: readonly Problem[]) {
    const told = problems.slice(0, PROBLEMS_TOLD_MAX).map(formatProblem);
    if (problems.length > told.length) told.push(`and ${problems.length - told.length} more`);
    const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
    super("CONFIG_INVALID", `Configuration ${file} has ${count}\n${told.join("\n")}`, {
      hint: "docs/configuration.md lists every key; esc config init writes a commented file",
    });
    this.problems = problems;
  }
}

/** `file:line:column: what is wrong`. */
export function formatProblem({ file, line, column, message }: Problem): string {
  return `${file}:${line}:${column}: ${message}`;
}

/** `lanes.realtime.priorities[0]`. */
export function formatPath(path: KeyPath): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === "number") return `${text}[${step}]`;
    return text === "" ? step : `${text}.${step}`;
  }, "");
}
