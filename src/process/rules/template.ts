/** Text with expressions in braces: `hot.{payload.zone}`. Braces themselves are written `{{` and `}}`. */
import {
  compileExpression,
  type EventFacts,
  type Expression,
  type ExpressionProblem,
  isProblem,
  textOf,
} from "./expression.ts";

/** A compiled template. @throws What its expressions throw for this event. */
export type Template = (event: EventFacts) => string;

const PART = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;

/** Compiles a template, or says what is wrong with it and where. */
export function compileTemplate(text: string): Template | ExpressionProblem {
  const parts: (string | Expression)[] = [];
  let from = 0;
  for (const match of text.matchAll(PART)) {
    const [whole, inner] = match;
    parts.push(text.slice(from, match.index));
    from = match.index + whole.length;
    if (whole === "{{" || whole === "}}") {
      parts.push(whole.slice(1));
      continue;
    }
    if (inner === undefined) return { problem: `"${whole}" has no counterpart`, at: match.index };
    const made = compileExpression(inner, "any");
    if (isProblem(made)) return { problem: made.problem, at: match.index + 1 + made.at };
    parts.push(made);
  }
  parts.push(text.slice(from));
  return (event) => parts.map((part) => typeof part === "string" ? part : textOf(part(event))).join("");
}

/** Whether `compileTemplate` refused. */
export function isTemplateProblem(result: Template | ExpressionProblem): result is ExpressionProblem {
  return typeof result !== "function";
}

/** Compiles a template that was checked before. @throws {RangeError} If it is not good after all. */
export function templateOf(text: string): Template {
  const made = compileTemplate(text);
  if (isTemplateProblem(made)) throw new RangeError(`Template "${text}": ${made.problem}`);
  return made;
}
