/**
 * CEL expressions over events: checked and compiled once, evaluated for each event.
 *
 * Variables: `topic`, `key`, `id` (text, empty when absent), `priority` (0..4), `time` (when it happened, else when
 * it was received), `headers` (map of text), `payload` (decoded JSON; null when it is none). Whole numbers and
 * fractions mix freely, because JSON does not tell them apart.
 */
import { Environment, type EvaluationError, type ParseError, type TypeError } from "@marcbachmann/cel-js";

/** What an expression sees. All of it is read when, and only when, the expression names it. */
export interface EventFacts {
  readonly topic: string;
  readonly key: string;
  readonly id: string;
  readonly priority: number;
  readonly time: Date;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: unknown;
}

/** What an expression must give. */
export type ExpressionKind = "condition" | "number" | "text" | "any";

/** An expression that was refused. */
export interface ExpressionProblem {
  readonly problem: string;
  /** Where in the text, from 0. */
  readonly at: number;
}

/** A compiled expression. @throws What CEL throws for this event: a missing field, a wrong type. */
export type Expression = (event: EventFacts) => unknown;

/** Longest expression. */
const CHARACTERS_MAX = 4096;

let environment: Environment | undefined;

function expressions(): Environment {
  if (environment !== undefined) return environment;
  const made = new Environment({
    homogeneousAggregateLiterals: false,
    limits: {
      maxAstNodes: 1000,
      maxDepth: 50,
      maxListElements: 200,
      maxMapEntries: 200,
      maxCallArguments: 16,
    },
  })
    .registerVariable("topic", "string")
    .registerVariable("key", "string")
    .registerVariable("id", "string")
    .registerVariable("priority", "double")
    .registerVariable("time", "google.protobuf.Timestamp")
    .registerVariable("headers", "map<string, string>")
    .registerVariable("payload", "dyn");
  // CEL keeps int and double apart; JSON has only numbers, and `payload.n + 1` has to mean what it says.
  const mixed: Readonly<Record<string, (a: number, b: number) => number>> = {
    "+": (a, b) => a + b,
    "-": (a, b) => a - b,
    "*": (a, b) => a * b,
    "/": (a, b) => a / b,
    "%": (a, b) => a % b,
  };
  for (const [operator, apply] of Object.entries(mixed)) {
    const asNumbers = (a: unknown, b: unknown) => apply(Number(a), Number(b));
    made.registerOperator(`double ${operator} int`, asNumbers);
    made.registerOperator(`int ${operator} double`, asNumbers);
  }
  made.registerOperator("double % double", (a: unknown, b: unknown) => Number(a) % Number(b));
  environment = made;
  return made;
}

/** Compiles an expression, or says what is wrong with it and where. */
export function compileExpression(text: string, kind: ExpressionKind): Expression | ExpressionProblem {
  if (text.length > CHARACTERS_MAX) {
    return { problem: `the expression has more than ${CHARACTERS_MAX} characters`, at: 0 };
  }
  try {
    const parsed = expressions().parse(text);
    const checked = parsed.check();
    if (!checked.valid) return problemOf(checked.error);
    const type = String(checked.type);
    if (kind === "condition" && type !== "bool" && type !== "dyn") {
      return { problem: `gives ${type}, not true or false`, at: 0 };
    }
    if (kind === "number" && !["int", "double", "uint", "dyn"].includes(type)) {
      return { problem: `gives ${type}, not a number`, at: 0 };
    }
    return (event) => parsed(event);
  } catch (error) {
    return problemOf(error);
  }
}

/** Whether `compileExpression` refused. */
export function isProblem(result: Expression | ExpressionProblem): result is ExpressionProblem {
  return typeof result !== "function";
}

/** Compiles an expression that was checked before. @throws {RangeError} If it is not good after all. */
export function expressionOf(text: string, kind: ExpressionKind): Expression {
  const made = compileExpression(text, kind);
  if (isProblem(made)) throw new RangeError(`Expression "${text}" ${made.problem}`);
  return made;
}

/** A number as JSON and arithmetic give it; NaN for everything else. */
export function numberOf(value: unknown): number {
  if (typeof value === "number") return value;
  return typeof value === "bigint" ? Number(value) : NaN;
}

/** A value as text: keys and templates. */
export function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value, plain) : String(value);
}

/** A replacer that makes CEL's values JSON's. */
export function plain(_name: string, value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  return value instanceof Map ? Object.fromEntries(value) : value;
}

function problemOf(error: unknown): ExpressionProblem {
  const { message, node } = error as ParseError | TypeError | EvaluationError;
  // The first line says it; the others draw an arrow that only fits a terminal.
  return { problem: String(message).split("\n")[0] ?? "is not an expression", at: node?.pos ?? 0 };
}
