/** `${ENV}`, `${ENV:-default}` and `${file:PATH}` inside values; `$${` stands for a plain `${`. */

/** What lies outside the configuration text. */
export interface Outside {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Text of a file named in the configuration; throws when it cannot be read. */
  readText(path: string): string;
}

/** The text with everything filled in, and whether a `${file:...}` was part of it; or what is wrong. */
export type Expansion = { readonly text: string; readonly secret: boolean } | { readonly problem: string };

const EXPRESSION = /\$\$\{|\$\{([^}]*)(\}?)/g;
const VARIABLE = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/;

/**
 * Expands every expression of a text once; what comes in is not expanded again.
 *
 * A variable that is not set, or empty with a default, has its default, as in the shell. The last line
 * break of a file is not part of the secret.
 */
export function expand(text: string, outside: Outside): Expansion {
  const problems: string[] = [];
  let secret = false;
  const expanded = text.replace(EXPRESSION, (whole: string, inner: string | undefined, close: string) => {
    if (inner === undefined) return "${";
    if (close === "") {
      problems.push(`"${whole}" is not closed by "}"`);
      return "";
    }
    if (inner.startsWith("file:")) {
      secret = true;
      try {
        return outside.readText(inner.slice("file:".length)).replace(/\r?\n$/, "");
      } catch (error) {
        problems.push(`cannot read ${whole}: ${error instanceof Error ? error.message : String(error)}`);
        return "";
      }
    }
    const [, name, fallback] = VARIABLE.exec(inner) ?? [];
    if (name === undefined) {
      problems.push(`${whole} is not of the form \${NAME}, \${NAME:-default} or \${file:PATH}`);
      return "";
    }
    const value = Object.hasOwn(outside.environment, name) ? outside.environment[name] : undefined;
    if (fallback !== undefined) return value === undefined || value === "" ? fallback : value;
    if (value === undefined) {
      problems.push(`environment variable ${name} is not set; give a default: \${${name}:-...}`);
    }
    return value ?? "";
  });
  const [problem] = problems;
  return problem === undefined ? { text: expanded, secret } : { problem };
}
