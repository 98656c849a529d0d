/**
 * The kinds of values a configuration key can have, as zod schemas from text to a checked value.
 *
 * Every scalar of the YAML file arrives as text (`tree.ts`), and the key decides what it means: `1.0`
 * stays "1.0" as a version, `"9000"` in quotes or from `${PORT}` is a port. Each leaf carries the
 * JSON Schema that editors see: zod knows only that its input is text.
 */
import * as z from "zod";
import { PRIORITY_NAMES } from "../event/frame.ts";
import { type About, metaOf } from "./key-info.ts";
import { didYouMean } from "./suggest.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "./units.ts";

type JsonSchema = Readonly<Record<string, unknown>>;

interface LeafSpec {
  /** Completes "must be ...". */
  readonly expects: string;
  readonly json: JsonSchema;
  /** More about a wrong text, appended to the problem. */
  readonly hint?: (text: string) => string;
}

/** A leaf whose text `parse` turns into a value, or into `undefined` when it is wrong. */
function leaf<T>(about: About, spec: LeafSpec, parse: (text: string) => T | undefined) {
  const problem = `must be ${spec.expects}`;
  return z.string({ error: problem }).transform((text, context) => {
    const value = parse(text);
    if (value !== undefined) return value;
    const message = `${problem}, not ${quote(text)}${spec.hint?.(text) ?? ""}`;
    context.issues.push({ code: "custom", message, input: text });
    return z.NEVER;
  }).meta({ ...metaOf(about), json: spec.json });
}

/** Text, from `min` characters; control characters are refused. */
export function text(about: About, fallback: string, { min = 0 } = {}) {
  return textLeaf(about, min).prefault(fallback);
}

/** Text that must be given. */
export function requiredText(about: About) {
  return textLeaf(about, 1);
}

function textLeaf(about: About, min: number) {
  const expects = min === 0 ? "text" : "text, not empty";
  const json = { type: ["string", "number", "boolean"], minLength: min };
  return leaf(about, { expects, json }, (value) => isPlain(value) && value.length >= min ? value : undefined);
}

/** Text, or `null` for `none`. */
export function optionalText(about: About) {
  return leaf<string | null>(about, { expects: "text or none", json: { type: "string" } }, (value) => {
    if (isNone(value) || value === "") return null;
    return isPlain(value) ? value : undefined;
  }).prefault("none");
}

/** `true` or `false`; `yes no on off` are understood, as the original's loader did. */
export function flag(about: About, fallback: boolean) {
  return leaf(about, { expects: "true or false", json: { type: "boolean" } }, (value) => {
    const word = value.toLowerCase();
    if (["true", "yes", "on"].includes(word)) return true;
    return ["false", "no", "off"].includes(word) ? false : undefined;
  }).prefault(String(fallback));
}

/** A whole number from `min` to `max`. */
export function count(about: About, fallback: number, min: number, max: number) {
  return countLeaf(about, min, max).prefault(String(fallback));
}

/** A whole number whose default is decided elsewhere: undefined when the key is absent. */
export function optionalCount(about: About, min: number, max: number) {
  return countLeaf(about, min, max).optional();
}

/** A whole number from `min` to `max`, or `null` for `none`: no limit. */
export function limit(about: About, fallback: string, min: number, max: number) {
  const spec = {
    expects: `a whole number from ${min} to ${max} or none`,
    json: { type: ["integer", "string"], minimum: min, maximum: max, pattern: "^[0-9]+$|^none$|\\$\\{" },
  };
  return leaf<number | null>(about, spec, (value) => {
    if (isNone(value)) return null;
    const number = /^\d+$/.test(value) ? Number(value) : NaN;
    return number >= min && number <= max ? number : undefined;
  }).prefault(fallback);
}

function countLeaf(about: About, min: number, max: number) {
  const expects = `a whole number from ${min} to ${max}`;
  return leaf(about, { expects, json: { type: "integer", minimum: min, maximum: max } }, (value) => {
    const number = /^[+-]?\d+$/.test(value) ? Number(value) : NaN;
    return number >= min && number <= max ? number : undefined;
  });
}

/** A port; 0 lets the system choose a free one. */
export function port(about: About, fallback: number) {
  return count(about, fallback, 0, 65535);
}

/** A number from `min` to `max`, decimals allowed. */
export function decimal(about: About, fallback: number, min: number, max: number) {
  const expects = `a number from ${min} to ${max}`;
  return leaf(about, { expects, json: { type: "number", minimum: min, maximum: max } }, (value) => {
    const number = /^\d+(\.\d+)?$/.test(value) ? Number(value) : NaN;
    return number >= min && number <= max ? number : undefined;
  }).prefault(String(fallback));
}

/** A number of any sign that must be given. */
export function requiredNumber(about: About) {
  return leaf(about, { expects: "a number", json: { type: "number" } }, (value) => {
    const number = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value) ? Number(value) : NaN;
    return Number.isFinite(number) ? number : undefined;
  });
}

/** A whole number that must be given. */
export function requiredCount(about: About, min: number, max: number) {
  return countLeaf(about, min, max);
}

/** Milliseconds that must be given. */
export function requiredDuration(about: About, range: DurationRange = {}) {
  return leaf(about, durationSpec(range), (value) => durationWithin(value, range));
}

const DURATION_JSON = { type: ["string", "integer"], pattern: "^[0-9.]+ *(ms|s|m|h|d)$|^0$|^none$|\\$\\{" };
const DURATION_MS_MAX = 36_500 * 86_400_000;

interface DurationRange {
  readonly min?: number;
  readonly max?: number;
  /** Unit of a number without one, where the key's name says it. */
  readonly bareUnit?: "ms" | "s";
}

/** Milliseconds. */
export function duration(about: About, fallback: string, range: DurationRange = {}) {
  return leaf(about, durationSpec(range), (value) => durationWithin(value, range)).prefault(fallback);
}

/** Milliseconds, or `null` for `none`. */
export function optionalDuration(about: About, fallback: string, range: DurationRange = {}) {
  return leaf<number | null>(
    about,
    durationSpec(range, " or none"),
    (value) => isNone(value) ? null : durationWithin(value, range),
  ).prefault(fallback);
}

function durationSpec({ min = 0, max = DURATION_MS_MAX, bareUnit }: DurationRange, also = ""): LeafSpec {
  const bounds = min === 0 && max === DURATION_MS_MAX
    ? ""
    : ` from ${formatDuration(min)} to ${formatDuration(max)}`;
  return {
    expects: `a duration${bounds} such as 250ms, 5s, 2m, 1h, 7d${also}`,
    json: DURATION_JSON,
    hint: (text) => bareUnit === undefined && /^\d+$/.test(text) ? ": the unit is missing" : "",
  };
}

function durationWithin(text: string, range: DurationRange): number | undefined {
  const { min = 0, max = DURATION_MS_MAX, bareUnit } = range;
  const value = parseDuration(text, bareUnit);
  return value !== undefined && value >= min && value <= max ? value : undefined;
}

const SIZE_JSON = { type: ["string", "integer"], pattern: "^[0-9.]+ *([KMGTkmgt]i?)?[Bb]?$|^none$|\\$\\{" };
const SIZE_BYTES_MAX = 2 ** 50;

/** Bytes, from `min` to `max`. */
export function size(about: About, fallback: string, min = 0, max = SIZE_BYTES_MAX) {
  return leaf(about, sizeSpec(min, max), (value) => sizeWithin(value, min, max)).prefault(fallback);
}

/** Bytes, or `null` for `none`. */
export function optionalSize(about: About, fallback: string, min = 0, max = SIZE_BYTES_MAX) {
  return leaf<number | null>(
    about,
    sizeSpec(min, max, " or none"),
    (value) => isNone(value) ? null : sizeWithin(value, min, max),
  ).prefault(fallback);
}

function sizeSpec(min: number, max: number, also = ""): LeafSpec {
  const bounds = min === 0 && max === SIZE_BYTES_MAX ? "" : ` from ${formatSize(min)} to ${formatSize(max)}`;
  return { expects: `a size${bounds} such as 512, 64KiB, 1MiB, 10GiB${also}`, json: SIZE_JSON };
}

function sizeWithin(text: string, min: number, max: number): number | undefined {
  const value = parseSize(text);
  return value !== undefined && value >= min && value <= max ? value : undefined;
}

/** One of some words, in any case; `aliases` are further spellings (in lower case). */
export function choice<const W extends string>(
  about: About,
  words: readonly W[],
  fallback: NoInfer<W>,
  aliases: Readonly<Record<string, NoInfer<W>>> = {},
) {
  const spec = {
    expects: `one of ${words.join(", ")}`,
    json: { type: "string", enum: words, orPattern: inAnyCase([...words, ...Object.keys(aliases)]) },
    hint: (text: string) => didYouMean(text, words),
  };
  return leaf<W>(about, spec, (value) => {
    const lower = value.toLowerCase();
    const alias = Object.hasOwn(aliases, lower) ? aliases[lower] : undefined;
    return words.find((word) => word.toLowerCase() === lower) ?? alias;
  }).prefault(fallback);
}

/** A priority by name or number, as its number 0..4. No default. */
export function priority(about: About) {
  const spec = {
    expects: `one of ${PRIORITY_NAMES.join(", ")} or 0 to 4`,
    json: { enum: [...PRIORITY_NAMES, 0, 1, 2, 3, 4], orPattern: inAnyCase(PRIORITY_NAMES) },
    hint: (text: string) => didYouMean(text, PRIORITY_NAMES),
  };
  return leaf(about, spec, parsePriority);
}

/** Number of a priority given by name (any case) or number; `undefined` if there is none such. */
export function parsePriority(text: string): number | undefined {
  if (/^[0-4]$/.test(text)) return Number(text);
  const index = PRIORITY_NAMES.findIndex((name) => name === text.toUpperCase());
  return index === -1 ? undefined : index;
}

/** Whether the text says that there is no such value. */
function isNone(text: string): boolean {
  return ["none", "null", "~"].includes(text.toLowerCase());
}

/** Line breaks and tabs are text; other control characters are an accident. */
function isPlain(text: string): boolean {
  // deno-lint-ignore no-control-regex
  return !/[\x00-\x08\x0b-\x1f\x7f]/.test(text);
}

/** A pattern for words in any case: what is accepted, though editors offer the words as they are. */
function inAnyCase(words: readonly string[]): string {
  const anyCase = (letter: string) =>
    letter === "_" ? letter : `[${letter.toUpperCase()}${letter.toLowerCase()}]`;
  return `^(${words.map((word) => word.replaceAll(/./g, anyCase)).join("|")})$`;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}
