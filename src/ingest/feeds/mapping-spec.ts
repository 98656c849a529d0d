/**
 * What a mapping may say: how the JSON messages of a venue without a decoder of its own become normalised messages.
 * Written in YAML under `feeds[].mapping`; every key is described in `docs/market-data.md`.
 */
import * as z from "zod";
import { EscError } from "../../errors.ts";
import { lineSchema } from "./mapping-line.ts";
import { pathProblem } from "./mapping-path.ts";

const path = z.string().superRefine((text, context) => {
  const problem = pathProblem(text, { wildcards: false });
  if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
});
const eachPath = z.string().superRefine((text, context) => {
  const problem = pathProblem(text, { wildcards: true });
  if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
});
/** One path, or several of which the first that is there counts. */
const paths = z.union([path, z.array(path).min(1).max(8)]);
const scalar = z.union([z.string(), z.number(), z.boolean()]);

const condition = z.strictObject({
  path,
  equals: z.union([scalar, z.array(scalar)]).optional(),
  not_equals: z.union([scalar, z.array(scalar)]).optional(),
  prefix: z.string().optional(),
  exists: z.boolean().optional(),
}).refine(
  (spec) =>
    [spec.equals, spec.not_equals, spec.prefix, spec.exists].filter((test) => test !== undefined).length ===
      1,
  { message: "needs exactly one of equals, not_equals, prefix, exists" },
);
const conditions = z.array(condition).max(16);

const time = z.strictObject({ path: paths, unit: z.enum(["s", "ms", "us", "ns", "iso"]) });

const symbol = z.union([
  path,
  z.strictObject({
    path: path.optional(),
    strip_prefix: z.string().optional(),
    strip_suffix: z.string().optional(),
    template: z.string().optional(),
  }).refine((spec) => (spec.path === undefined) !== (spec.template === undefined), {
    message: "needs either path or template",
  }),
]);

const side = z.strictObject({
  path,
  buy: z.union([scalar, z.array(scalar)]),
  sell: z.union([scalar, z.array(scalar)]),
  /** The venue gives the maker's side. */
  invert: z.boolean().default(false),
});

/** Member of a level row: index in a list, or name in an object. */
const member = z.union([z.number().int(), z.string()]);

const oneSide = z.strictObject({
  /** Several paths: all of them, one after the other. */
  path: paths,
  price: member.default(0),
  qty: member.default(1),
});

const bothSides = z.strictObject({
  path: paths,
  side: member,
  bid: z.union([scalar, z.array(scalar)]),
  ask: z.union([scalar, z.array(scalar)]),
  price: member,
  qty: member,
});

const levels = { bids: oneSide.optional(), asks: oneSide.optional(), levels: bothSides.optional() };
const ids = { first_id: paths.optional(), last_id: paths.optional(), previous_id: paths.optional() };

export const EMITS = [
  "trade",
  "quote",
  "book_snapshot",
  "book_delta",
  "bar",
  "heartbeat",
  "error",
  "ack",
  "reconnect",
] as const;

const message = z.strictObject({
  when: conditions.default([]),
  emit: z.enum(EMITS),
  each: eachPath.optional(),
  /** Like `when`, for each item. */
  where: conditions.default([]),
  symbol: symbol.optional(),
  time: time.optional(),
  price: paths.optional(),
  qty: paths.optional(),
  side: side.optional(),
  id: paths.optional(),
  historic: z.boolean().default(false),
  bid_price: paths.optional(),
  bid_qty: paths.optional(),
  ask_price: paths.optional(),
  ask_qty: paths.optional(),
  open: paths.optional(),
  high: paths.optional(),
  low: paths.optional(),
  start: time.optional(),
  interval_ms: z.number().positive().optional(),
  trade_count: paths.optional(),
  ...levels,
  ...ids,
  checksum: paths.optional(),
  /** An update for which this holds replaces the book. */
  reset_when: conditions.optional(),
  text: paths.optional(),
});

const rules = z.enum(["none", "increasing", "contiguous", "range", "previous", "chained"]);

const mapping = z.strictObject({
  /** Keep every digit of JSON numbers. Off only where all numbers that matter are strings. */
  exact_numbers: z.boolean().default(true),
  aliases: z.record(z.string(), z.string()).default({}),
  precisions: z.record(z.string(), z.strictObject({ price: z.number().int(), qty: z.number().int() }))
    .default({}),
  /** Whether the venue numbers trades without holes: then holes are told as lost trades, and repeats dropped. */
  trade_ids: z.enum(["contiguous", "any"]).default("any"),
  messages: z.array(message).min(1).max(64),
  book: z.strictObject({
    sequence: rules.default("none"),
    checksum: z.enum(["none", "kraken", "kraken_v2", "okx"]).default("none"),
    depth: z.number().int().min(0).default(0),
  }).prefault({}),
  /** Where and how to connect; without it the mapping only decodes. */
  line: lineSchema.optional(),
  /** The REST answer with a book snapshot. */
  snapshot: z.strictObject({ ...levels, time: time.optional(), last_id: paths.optional() }).optional(),
}).superRefine((spec, context) => {
  for (const [at, entry] of spec.messages.entries()) {
    for (const key of missingKeys(entry)) {
      context.addIssue({
        code: "custom",
        path: ["messages", at, key],
        message: `is needed to emit ${entry.emit}`,
      });
    }
    for (const key of missingIds(entry, spec.book.sequence)) {
      context.addIssue({
        code: "custom",
        path: ["messages", at, key],
        message: `is needed by the sequence rule ${spec.book.sequence}`,
      });
    }
  }
});

/** The JSON Schema and the config's own schema are made from this. */
export const mappingSchema = mapping;
export type MappingSpec = z.infer<typeof mapping>;
export type MessageSpec = z.infer<typeof message>;
export type ConditionSpec = z.infer<typeof condition>;
export type TimeSpec = z.infer<typeof time>;
export type OneSideSpec = z.infer<typeof oneSide>;
export type BothSidesSpec = z.infer<typeof bothSides>;
export type LevelsSpec = { [key in keyof typeof levels]?: z.infer<(typeof levels)[key]> };
export type SymbolSpec = z.infer<typeof symbol>;

/**
 * Reads a mapping from configuration.
 *
 * @throws {EscError} CONFIG_INVALID with every problem and its place, not only the first.
 */
export function parseMapping(value: unknown): MappingSpec {
  const parsed = mapping.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) =>
    `${issue.path.join(".") || "mapping"}: ${issue.message}`
  );
  throw new EscError("CONFIG_INVALID", `Cannot use the mapping: ${problems.join("; ")}`);
}

function missingKeys(entry: MessageSpec): (keyof MessageSpec)[] {
  const needs: Partial<Record<MessageSpec["emit"], (keyof MessageSpec)[]>> = {
    trade: ["symbol", "price", "qty"],
    quote: ["symbol"],
    book_snapshot: ["symbol"],
    book_delta: ["symbol"],
    bar: ["symbol", "open", "high", "low", "price", "qty", "start", "interval_ms"],
  };
  const missing = (needs[entry.emit] ?? []).filter((key) => entry[key] === undefined);
  const isBook = entry.emit === "book_snapshot" || entry.emit === "book_delta";
  if (isBook && entry.levels === undefined && entry.bids === undefined && entry.asks === undefined) {
    missing.push("levels");
  }
  if (entry.emit === "quote" && entry.price === undefined && entry.bid_price === undefined) {
    missing.push("bid_price");
  }
  return missing;
}

function missingIds(entry: MessageSpec, rule: z.infer<typeof rules>): (keyof MessageSpec)[] {
  if (entry.emit !== "book_delta" || rule === "none") return [];
  const needed: (keyof MessageSpec)[] = rule === "range"
    ? ["first_id", "last_id"]
    : rule === "previous" || rule === "chained"
    ? ["previous_id", "last_id"]
    : ["last_id"];
  return needed.filter((key) => entry[key] === undefined);
}
