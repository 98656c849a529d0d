/** Maps, lists, and values that may be one or the other: what leaves are put together to. */
import * as z from "zod";
import { type About, metaOf } from "./key-info.ts";

/** A list of what `element` accepts. */
export function list<T extends z.ZodType>(about: About, element: T) {
  return z.array(element, { error: "must be a list" }).meta(metaOf(about));
}

/** A map with exactly these keys. Its description is the section's. */
export function section<S extends z.ZodRawShape>(about: About, shape: S) {
  return z.strictObject(shape, { error: mapProblem }).meta(metaOf(about));
}

/** Leaves unknown keys to zod's own issue, which names them. */
export function mapProblem(issue: { code?: string | undefined }): string | undefined {
  return issue.code === "invalid_type" ? "must be a map of keys" : undefined;
}

/** The alternatives of `byShape()`: zod sees only that any input is taken. */
export const shapesOf = new WeakMap<object, readonly z.ZodType[]>();

/**
 * A value that may be text, a map or a list, each with a schema of its own: problems are those of the
 * schema that fits the shape, not of all of them.
 */
export function byShape<
  T extends z.ZodType = z.ZodNever,
  M extends z.ZodType = z.ZodNever,
  L extends z.ZodType = z.ZodNever,
>(about: About, shapes: { text?: T; map?: M; list?: L }) {
  const known = [shapes.text, shapes.map, shapes.list].filter((schema) => schema !== undefined);
  const names = (["text", "map", "list"] as const).filter((name) => shapes[name] !== undefined);
  const schema = z.unknown().transform((input, context): z.output<T> | z.output<M> | z.output<L> => {
    const fitting = typeof input === "string" ? shapes.text : Array.isArray(input) ? shapes.list : shapes.map;
    if (fitting === undefined) {
      context.issues.push({ code: "custom", message: `must be a ${names.join(" or a ")}`, input });
      return z.NEVER;
    }
    const result = fitting.safeParse(input);
    if (result.success) return result.data;
    for (const issue of result.error.issues) {
      context.issues.push({ ...issue, path: [...issue.path], input: undefined });
    }
    return z.NEVER;
  }).meta(metaOf(about));
  shapesOf.set(schema, known);
  return schema;
}
