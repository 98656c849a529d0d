/** What a user should be told of a valid configuration: keys that are accepted but change nothing or less. */
import { QUEUE_FRAMES_MIN } from "./build.ts";
import { configJsonSchema, type JsonSchema } from "./json-schema.ts";
import { powerOfTwo } from "./lanes.ts";
import { formatPath, type PathProblem } from "./problems.ts";
import { type CheckedFile, configSchema } from "./schema.ts";
import type { TreeMap, TreeValue } from "./tree.ts";
import { formatSize } from "./units.ts";

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

/** Queues that the file makes too small for the largest frame, and that are made larger. */
export function raisedQueues(root: TreeMap, checked: CheckedFile): PathProblem[] {
  const bytesMin = QUEUE_FRAMES_MIN * checked.ingestion.max_frame_bytes;
  const places = [["ingestion"], ...Object.keys(checked.lanes).map((name) => ["lanes", name])];
  return places.map((place) => [...place, "queue_bytes"]).flatMap((path) => {
    const bytes = valueAt(root, path) === undefined ? undefined : valueAt(checked, path);
    if (typeof bytes !== "number" || bytes >= bytesMin) return [];
    const message = `${formatPath(path)} becomes ${formatSize(powerOfTwo(bytesMin))}: ` +
      `a queue holds ${QUEUE_FRAMES_MIN} frames of ingestion.max_frame_bytes`;
    return [{ path, at: "value", message }];
  });
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
