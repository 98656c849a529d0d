/** Every key with what is known about it, in the order of the schema: for the template and the documentation. */
import { configJsonSchema, type JsonSchema } from "./json-schema.ts";
import { isLive } from "./plan.ts";

export interface KeyReference {
  /** Steps of the path; `<name>` stands for a name of the user's, `[]` for the elements of a list. */
  readonly path: readonly string[];
  readonly description: string;
  /** `undefined`: there is none of its own, or the key is a section. */
  readonly default: unknown;
  /** Kind and range of the value, in words. */
  readonly kind: string;
  readonly isSection: boolean;
  readonly isLive: boolean;
  readonly hasEffect: boolean;
}

/** All keys, sections before what is in them. */
export function keyReference(): KeyReference[] {
  const keys: KeyReference[] = [];
  visit(configJsonSchema(), [], true);
  return keys;

  function visit(schema: JsonSchema, path: readonly string[], effective: boolean): void {
    const hasEffect = effective && schema["x-effect"] !== "none";
    const branches = schema.anyOf ?? [schema];
    const lists = branches.flatMap((branch) => branch.items?.properties === undefined ? [] : [branch.items]);
    const maps = lists.length > 0 ? [] : branches.filter(isMap);
    if (path.length > 0) {
      keys.push({
        path,
        description: schema.description ?? "",
        default: maps.length > 0 ? undefined : schema.default,
        kind: kindOf(schema),
        isSection: maps.length > 0,
        isLive: isLive(path),
        hasEffect,
      });
    }
    for (const map of maps) visitMap(map, path, hasEffect);
    for (const element of lists) visitMap(element, [...path, "[]"], hasEffect);
  }

  function visitMap(schema: JsonSchema, path: readonly string[], hasEffect: boolean): void {
    for (const [key, inner] of Object.entries(schema.properties ?? {})) {
      visit(inner, [...path, key], hasEffect);
    }
    if (typeof schema.additionalProperties === "object") {
      visit(schema.additionalProperties, [...path, "<name>"], hasEffect);
    }
  }
}

function isMap(schema: JsonSchema): boolean {
  return schema.properties !== undefined || typeof schema.additionalProperties === "object";
}

function kindOf(schema: JsonSchema): string {
  const [first = schema, ...others] = schema.anyOf ?? [];
  if (others.some(isMap)) return "text or map";
  if (others.some((other) => other.type === "array")) return "list or map";
  if (first.enum !== undefined) return first.enum.filter((word) => typeof word === "string").join(" ");
  if (first.pattern?.includes("(ms|s|m|h|d)") === true) return "duration";
  if (first.pattern?.includes("[Bb]") === true) return "size";
  if (first.type === "array") return "list";
  if (first.type === "integer" || first.type === "number") return `${first.minimum} to ${first.maximum}`;
  if (first.type === "boolean") return "true false";
  return isMap(first) ? "map" : "text";
}
