/**
 * YAML text → a tree of maps, lists and text, with the place of every key and value.
 *
 * Scalars stay text: the schema knows what a key's text means, YAML's guesses (`no`, `1.0`, `1e3`) do
 * not count. `${...}` is expanded here, after parsing, so that an expanded value never changes the
 * structure. An empty value, `null` and `~` count as absent: the key has its default.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type Scalar } from "yaml";
import { expand, type Outside } from "./expand.ts";
import type { KeyPath, PathProblem } from "./problems.ts";

export type TreeValue = string | TreeValue[] | TreeMap;
export interface TreeMap {
  [key: string]: TreeValue;
}

/** Line and column, both from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface Tree {
  readonly root: TreeMap;
  /** Problems that have a place already: syntax, repeated keys, expansion. */
  readonly problems: readonly (Place & { readonly message: string })[];
  /** Whether the text was YAML at all: if not, the tree is a guess and must not be checked further. */
  readonly sound: boolean;
  /** Place of a value, or of its key; of the nearest ancestor when there is none. */
  placeOf(problem: Pick<PathProblem, "path" | "at">): Place;
  /** Text before expansion of values that contain a secret, by `pathId`. */
  readonly secrets: ReadonlyMap<string, string>;
}

/** A file is refused beyond this. */
export const CONFIG_TEXT_BYTES_MAX = 4 * 1024 * 1024;
/** Nodes visited at most, aliases counted each time: a few lines of YAML can name billions. */
const NODES_MAX = 100_000;
const DEPTH_MAX = 32;

const START: Place = { line: 1, column: 1 };

/** Identity of a path, for maps. */
export function pathId(path: KeyPath): string {
  return JSON.stringify(path.map(String));
}

/** Reads YAML into a tree. Never throws on bad input: what is wrong is in `problems`. */
export function parseTree(text: string, outside: Outside): Tree {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    schema: "failsafe",
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
  });
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const problems: (Place & { message: string })[] = document.errors.map((error) => ({
    ...place(error.pos[0]),
    message: syntaxMessage(error.code, error.message),
  }));
  const places = new Map<string, { key: Place; value: Place }>();
  const secrets = new Map<string, string>();
  let nodeCount = 0;

  function placeOfNode(node: Node): Place {
    return place(node.range?.[0] ?? 0);
  }

  function refuse(node: Node, message: string): undefined {
    problems.push({ ...placeOfNode(node), message });
    return undefined;
  }

  function visit(node: Node, path: KeyPath): TreeValue | undefined {
    if (++nodeCount > NODES_MAX) {
      return nodeCount === NODES_MAX + 1 ? refuse(node, `has more than ${NODES_MAX} values`) : undefined;
    }
    if (path.length > DEPTH_MAX) return refuse(node, `is nested deeper than ${DEPTH_MAX} levels`);
    if (isAlias(node)) {
      const target = node.resolve(document);
      return target === undefined ? refuse(node, `unknown alias "*${node.source}"`) : visit(target, path);
    }
    if (isMap(node)) return visitMap(node.items, path);
    if (isSeq(node)) {
      return node.items.map((item, index) => {
        if (!isNode(item)) return "";
        const inner = [...path, index];
        places.set(pathId(inner), { key: placeOfNode(item), value: placeOfNode(item) });
        return visit(item, inner) ?? "";
      });
    }
    return isScalar(node) ? visitScalar(node, path) : undefined;
  }

  function visitMap(items: readonly { key: unknown; value: unknown }[], path: KeyPath): TreeMap {
    const map: TreeMap = {};
    for (const { key, value } of items) {
      if (!isScalar(key)) {
        if (isNode(key)) refuse(key, "a key must be text");
        continue;
      }
      const name = String(key.value ?? "");
      const inner = [...path, name];
      const id = pathId(inner);
      const first = places.get(id);
      if (first !== undefined) {
        refuse(key, `key "${name}" is repeated, first set at line ${first.key.line}`);
        continue;
      }
      const keyPlace = placeOfNode(key);
      places.set(id, { key: keyPlace, value: isNode(value) ? placeOfNode(value) : keyPlace });
      const content = isNode(value) ? visit(value, inner) : undefined;
      // Not by assignment: the key may be "__proto__", which is to be reported, not obeyed.
      if (content !== undefined || name === "__proto__") {
        Object.defineProperty(map, name, {
          value: content ?? "",
          enumerable: true,
          configurable: true,
          writable: true,
        });
      }
    }
    return map;
  }

  function visitScalar(node: Scalar, path: KeyPath): string | undefined {
    const raw = String(node.value ?? "");
    if (node.type === "PLAIN" && ["", "~", "null", "Null", "NULL"].includes(raw)) return undefined;
    if (!raw.includes("${")) return raw;
    const expanded = expand(raw, outside);
    if ("problem" in expanded) return refuse(node, expanded.problem);
    if (expanded.secret) secrets.set(pathId(path), raw);
    return expanded.text;
  }

  const contents = document.contents;
  let root: TreeValue = {};
  if (contents !== null) {
    root = visit(contents, []) ?? {};
    if (typeof root === "string" || Array.isArray(root)) {
      refuse(contents, "the file must be a map of keys");
      root = {};
    }
  }
  return {
    root,
    problems,
    sound: document.errors.length === 0,
    secrets,
    placeOf({ path, at }) {
      for (let length = path.length; length > 0; length--) {
        const found = places.get(pathId(path.slice(0, length)));
        if (found !== undefined) return at === "value" && length === path.length ? found.value : found.key;
      }
      return START;
    },
  };
}

function isNode(value: unknown): value is Node {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value);
}

function syntaxMessage(code: string, message: string): string {
  if (code === "TAB_AS_INDENT") return "tabs cannot indent YAML; use spaces";
  if (code === "MULTIPLE_DOCS") return 'only one document is allowed: remove the line "---"';
  if (/flow-map-start|flow map/.test(message)) {
    return `${message}; put text with "{" or "}" between braces into quotes`;
  }
  return message;
}
