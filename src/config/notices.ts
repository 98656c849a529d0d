/** What a user should be told of a valid configuration: keys that are accepted but change nothing. */
import { configJsonSchema, type JsonSchema } from "./json-schema.ts";
import { formatPath, type PathProblem } from "./problems.ts";
import { type CheckedFile, configSchema } from "./schema.ts";
import type { TreeMap, TreeValue } from "./tree.ts";

/**
 * Keys of the file without effect, outermost only. A key that says what is so anyway is not among
 * them: `numa.enable: false` does what it says.
 */
export function unusedKeys(root: TreeMap, checked: CheckedFile): PathProblem[] {
  const defaults: unknown = configSchema.parse({});
  const found: PathProblem[] = [];
  visit(configJsonSchema(), root, []);
  const file = root["ingestion"];
  if (isMap(file) && isMap(file["file"]) && !("enable" in file["file"]) && "path" in file["file"]) {
    const message = 'ingestion.file is off: a single file needs "enable: true", as in the original engine';
    found.push({ path: ["ingestion", "file"], at: "key", message });
  }
  return found;

  function visit(schema: JsonSchema, tree: TreeValue | undefined, path: readonly string[]): void {
    if (!isMap(tree) && schema["x-effect"] === undefined) return;
    if (schema["x-effect"] === "none") {
      if (tree !== undefined && !Bun.deepEquals(valueAt(checked, path), valueAt(defaults, path))) {
        found.push({
          path,
          at: "key",
          message: `${formatPath(path)} is accepted and has no effect in this version`,
        });
      }
      return;
    }
    for (const [key, inner] of Object.entries(schema.properties ?? {})) {
      if (isMap(tree) && Object.hasOwn(tree, key)) visit(inner, tree[key], [...path, key]);
    }
  }
}

function isMap(value: TreeValue | undefined): value is TreeMap {
  return typeof value === "object" && !Array.isArray(value);
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const step of path) {
    value = typeof value === "object" && value !== null
      ? Object.entries(value).find(([key]) => key === step)?.[1]
      : undefined;
  }
  return value;
}
