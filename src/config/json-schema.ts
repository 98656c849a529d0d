/** The configuration's JSON Schema: for editors, and for everything here that needs to know the keys. */
import * as z from "zod";
import { shapesOf } from "./shapes.ts";
import { configSchema } from "./schema.ts";

/** The parts of JSON Schema (draft 2020-12) that the configuration uses. */
export interface JsonSchema {
  readonly $schema?: string;
  readonly title?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly examples?: readonly unknown[];
  /** The key is accepted and checked, and has no effect yet. */
  readonly "x-effect"?: "none";
}

const DIALECT = "https://json-schema.org/draft/2020-12/schema";

/** `${NAME}` may stand wherever a value stands; editors must let it pass. */
const EXPRESSION = { type: "string", pattern: "\\$\\{" };

let made: JsonSchema | undefined;

/** The schema of the whole file. Made once. */
export function configJsonSchema(): JsonSchema {
  made ??= { $schema: DIALECT, title: "Configuration of esc", ...schemaOf(configSchema) };
  return made;
}

function schemaOf(schema: z.ZodType): JsonSchema {
  const json = z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      const shapes = shapesOf.get(zodSchema);
      if (shapes !== undefined) Object.assign(jsonSchema, { anyOf: shapes.map(schemaOf) });
    },
  });
  return finish(json as Node);
}

/** JSON Schema under construction, with what leaves say of themselves. */
type Node = JsonSchema & {
  readonly json?: JsonSchema & { readonly orPattern?: string };
  readonly shownDefault?: unknown;
  readonly shownExamples?: readonly unknown[];
};

function finish(node: Node): JsonSchema {
  // The dialect is said once, at the top.
  const { json, shownDefault, shownExamples, $schema: _dialect, type, ...rest } = node;
  const fallback = node.default ?? shownDefault;
  const made: { -readonly [K in keyof JsonSchema]: JsonSchema[K] } = { ...rest };
  if (json === undefined && type !== undefined) made.type = type;
  if (json !== undefined) Object.assign(made, orExpression(json));
  if (shownExamples !== undefined) made.examples = shownExamples;
  if (fallback !== undefined) made.default = typed(fallback, json);
  if (node.properties !== undefined) {
    made.properties = mapValues(node.properties, finish);
  }
  if (typeof node.additionalProperties === "object") {
    made.additionalProperties = finish(node.additionalProperties);
  }
  if (node.items !== undefined) made.items = finish(node.items);
  return made;
}

/** The leaf's own schema, and where that is closed, the further spellings that the loader takes. */
function orExpression({ orPattern, ...leaf }: JsonSchema & { readonly orPattern?: string }): JsonSchema {
  if (leaf.enum === undefined && acceptsText(leaf)) return leaf;
  const spellings = orPattern === undefined ? [] : [{ type: "string", pattern: orPattern }];
  return { anyOf: [leaf, ...spellings, EXPRESSION] };
}

/** Defaults are text for the checker; editors and people see them as the leaf's own type. */
function typed(fallback: unknown, leaf: JsonSchema | undefined): unknown {
  const isText = leaf === undefined || acceptsText(leaf);
  return typeof fallback === "string" && !isText ? JSON.parse(fallback) : fallback;
}

function acceptsText(leaf: JsonSchema): boolean {
  return leaf.enum !== undefined || leaf.type === undefined || [leaf.type].flat().includes("string");
}

function mapValues<T, U>(map: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]));
}
