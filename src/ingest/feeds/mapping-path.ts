/**
 * Paths into a decoded message, as a mapping writes them.
 *
 *     data.bids        members by name, from the item at hand
 *     1.b   -2         elements by index; negative counts from the end
 *     $.channel        from the root of the message
 *     ^.product_id     from the item around this one (nested `each`); ^^ the one around that
 *     events.*.trades.*    in `each` only: every element
 */
import { isArray, isObject } from "./json.ts";

/** The item at hand last, the message's root first; what `each` has walked through. */
export type Scope = readonly unknown[];
export type Getter = (scope: Scope) => unknown;

/** Why a text is no path, or `undefined` when it is one. */
export function pathProblem(path: string, options: { wildcards: boolean }): string | undefined {
  const { steps } = split(path);
  if (path === "" || steps.some((step) => step === "")) return `"${path}" has an empty step`;
  if (!options.wildcards && steps.includes("*")) return `"${path}" may hold "*" only in each`;
  return undefined;
}

/** Compiles one path; the answer of the getter is `undefined` for whatever is not there. */
export function compilePath(path: string): Getter {
  const { levelsUp, fromRoot, steps } = split(path);
  return (scope) => walk(fromRoot ? scope[0] : scope[scope.length - 1 - levelsUp], steps);
}

/** Compiles several paths into one that gives the first value that is there. */
export function compileFirst(paths: string | readonly string[]): Getter {
  if (typeof paths === "string") return compilePath(paths);
  const getters = paths.map(compilePath);
  return (scope) => {
    for (const get of getters) {
      const value = get(scope);
      if (value !== undefined && value !== null) return value;
    }
    return undefined;
  };
}

/** Compiles an `each` path: calls back with the scope of every element, outer items in between. */
export function compileEach(path: string): (root: unknown, visit: (scope: Scope) => boolean) => boolean {
  const parts: string[][] = [[]];
  for (const step of split(path).steps) {
    if (step === "*") parts.push([]);
    else parts.at(-1)?.push(step);
  }
  return (root, visit) => visitParts([root], parts, visit);
}

/** `false` as soon as a visitor says so. */
function visitParts(scope: Scope, parts: readonly string[][], visit: (scope: Scope) => boolean): boolean {
  const [steps = [], ...rest] = parts;
  const value = walk(scope.at(-1), steps);
  if (rest.length === 0) {
    // A path that ends with a name means the element itself, not a further level.
    return steps.length === 0 ? visit(scope) : value === undefined || visit([...scope, value]);
  }
  if (!isArray(value)) return true;
  for (const element of value) {
    if (!visitParts([...scope, element], rest, visit)) return false;
  }
  return true;
}

function split(path: string): { fromRoot: boolean; levelsUp: number; steps: string[] } {
  const [head = "", ...rest] = path.split(".");
  if (head === "$") return { fromRoot: true, levelsUp: 0, steps: rest };
  if (/^\^+$/.test(head)) return { fromRoot: false, levelsUp: head.length, steps: rest };
  return { fromRoot: false, levelsUp: 0, steps: [head, ...rest] };
}

function walk(from: unknown, steps: readonly string[]): unknown {
  let value = from;
  for (const step of steps) {
    if (isArray(value)) value = value.at(Number(step));
    else if (isObject(value) && Object.hasOwn(value, step)) value = value[step];
    else return undefined;
  }
  return value;
}
