/** config.yaml with every key: its default, and one line of what it means. Loading it changes nothing. */
import { stringify } from "yaml";
import { configJsonSchema, type JsonSchema } from "./json-schema.ts";

const HEAD = `# Configuration of esc. Every key is here with its default; delete what you do not change.
# Durations: 250ms 5s 2m 1h 7d. Sizes: 512 64KiB 1MiB 10GiB. "none" switches a limit off.
# Values may contain \${ENV}, \${ENV:-default} and \${file:PATH} (a secret).
# Check with: esc config validate FILE. Details: docs/configuration.md
`;

/** Where comments begin, if the line leaves room. */
const COMMENT_COLUMN = 40;

/** The text of config/config.yaml, and of what `esc config init` writes. */
export function configTemplate(): string {
  const lines: string[] = [];
  for (const [key, schema] of Object.entries(configJsonSchema().properties ?? {})) {
    if (schema.properties !== undefined) lines.push("");
    writeKey(lines, key, schema, "");
  }
  return `${HEAD}\n${lines.join("\n").trimStart()}\n`;
}

function writeKey(lines: string[], key: string, schema: JsonSchema, indent: string): void {
  const comment = (schema.description ?? "") +
    (schema["x-effect"] === "none" ? " (no effect in this version)" : "");
  if (schema.properties !== undefined) {
    lines.push(`${indent}# ${comment}`, `${indent}${key}:`);
    for (const [inner, innerSchema] of Object.entries(schema.properties)) {
      writeKey(lines, inner, innerSchema, `${indent}  `);
    }
    if (typeof schema.additionalProperties === "object") {
      lines.push(
        `${indent}  # <name>: a lane of your own, with the same keys; name its priorities or topics`,
      );
    }
    return;
  }
  // A key whose default is another key's value is shown, but switched off: setting it would mean something.
  const prefix = schema.default === undefined ? `${indent}# ` : indent;
  const value = schema.default === undefined ? "" : ` ${flow(schema.default)}`;
  lines.push(`${`${prefix}${key}:${value}`.padEnd(COMMENT_COLUMN - 1)} # ${comment}`);
  for (const example of schema.examples ?? []) {
    const [, ...below] = stringify({ [key]: example }).trimEnd().split("\n");
    lines.push(...below.map((line) => `${indent}# ${line}`));
  }
}

function flow(value: unknown): string {
  return stringify(value, { collectionStyle: "flow", lineWidth: 0, flowCollectionPadding: false }).trimEnd();
}
