/** zod's issues → problems with a path, with the nearest valid key for one that is not known. */
import type * as z from "zod";
import { configJsonSchema, type JsonSchema } from "./json-schema.ts";
import { formatPath, type KeyPath, type PathProblem } from "./problems.ts";
import { didYouMean, nearest } from "./suggest.ts";

/** Valid keys listed at most where none is near. */
const LISTED_MAX = 32;

/** The problems of one issue: unknown keys are one each, placed at the key itself. */
export function describeIssue(issue: z.core.$ZodIssue): PathProblem[] {
  const path = issue.path.map((step) => typeof step === "symbol" ? String(step) : step);
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey(path, key));
  const name = path.length === 0 ? "the file" : formatPath(path);
  return [{ path, at: "value", message: `${name} ${issue.message}` }];
}

function unknownKey(parent: KeyPath, key: string): PathProblem {
  const known = keysAt(parent);
  const where = parent.length === 0 ? "" : ` in ${formatPath(parent)}`;
  const message = `unknown key "${key}"${where}`;
  return { path: [...parent, key], at: "key", message: message + suggestion(key, known) };
}

function suggestion(key: string, known: readonly string[]): string {
  if (nearest(key, known).length > 0) return didYouMean(key, known);
  const elsewhere = pathsOf(configJsonSchema(), []).filter((path) => path.at(-1) === key);
  if (elsewhere.length > 0 && elsewhere.length <= 3) {
    return `; did you mean ${elsewhere.map((path) => `"${formatPath(path)}"`).join(" or ")}?`;
  }
  return known.length <= LISTED_MAX ? `; valid keys: ${known.join(", ")}` : "";
}

/** The keys that are valid in the map at a path. */
export function keysAt(path: KeyPath): string[] {
  let nodes: JsonSchema[] = [configJsonSchema()];
  for (const step of path) {
    nodes = nodes.flatMap(alternatives).flatMap((node) => {
      const next = typeof step === "number"
        ? node.items
        : node.properties?.[step] ?? node.additionalProperties;
      return typeof next === "object" ? [next] : [];
    });
  }
  return [...new Set(nodes.flatMap(alternatives).flatMap((node) => Object.keys(node.properties ?? {})))];
}

function alternatives(node: JsonSchema): readonly JsonSchema[] {
  return node.anyOf ?? [node];
}

/** Paths of all keys that have an effect. */
function pathsOf(node: JsonSchema, path: readonly string[]): string[][] {
  return Object.entries(node.properties ?? {}).flatMap(([key, inner]) => {
    if (inner["x-effect"] === "none") return [];
    const here = [...path, key];
    return [here, ...pathsOf(inner, here)];
  });
}
