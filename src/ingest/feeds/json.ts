/**
 * Reading what JSON.parse gives, without trust: each accessor answers for any value.
 * And a parser that keeps numbers as the text the venue wrote, where digits matter.
 */
export type JsonObject = { readonly [key: string]: unknown };

/** Deepest nesting the digit-keeping parser follows. */
const DEPTH_MAX = 64;

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isArray(value: unknown): value is readonly unknown[] {
  return Array.isArray(value);
}

/** A string as it is, a number as its shortest text, anything else "". */
export function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" ? String(value) : "";
}

/** A number, or the number a text is; else NaN. */
export function numberOf(value: unknown): number {
  if (typeof value === "number") return value;
  return typeof value === "string" && value !== "" ? Number(value) : NaN;
}

/** Parses JSON with every number left as its text; `undefined` when the text is not JSON. */
export function parseJsonKeepingDigits(text: string): unknown {
  const quoted = quoteNumbers(text);
  return quoted === undefined ? undefined : parseJson(quoted);
}

/** Strings (left alone), numbers (to be quoted), and brackets (to be counted). */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[[{]|[\]}]/g;
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/** Puts quotes around every number outside strings; `undefined` when a number is malformed or nesting too deep. */
function quoteNumbers(text: string): string | undefined {
  let valid = true;
  let depth = 0;
  const quoted = text.replace(TOKEN, (token) => {
    const first = token.charCodeAt(0);
    if (first === 34) return token;
    if (token === "[" || token === "{") {
      valid &&= ++depth <= DEPTH_MAX;
      return token;
    }
    if (token === "]" || token === "}") {
      depth--;
      return token;
    }
    valid &&= NUMBER.test(token);
    return `"${token}"`;
  });
  return valid ? quoted : undefined;
}
