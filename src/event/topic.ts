/**
 * Topics and topic patterns.
 *
 * A topic is 1..255 bytes of UTF-8; `.` and `/` part it into tokens. In a pattern the token `*`
 * stands for exactly one token and `>`, as the last token, for one or more. A separator in a pattern
 * equals only itself: `market.*` matches `market.btc`, not `market/btc`. A token with more than the
 * wildcard (`btc*`) is literal.
 *
 * Any number of patterns is one trie, so matching costs the topic's tokens and not the patterns.
 */
import { TOPIC_BYTES_MAX } from "./frame.ts";

const DOT = 0x2e;
const SLASH = 0x2f;
const NONE = -1;

/** Says what is wrong with a topic. @returns `undefined` when it is good. */
export function topicProblem(topic: string): string | undefined {
  const bytes = Buffer.byteLength(topic);
  if (bytes < 1 || bytes > TOPIC_BYTES_MAX) {
    return `Topic has ${bytes} bytes: it needs 1 to ${TOPIC_BYTES_MAX}`;
  }
  if (!topic.isWellFormed()) return "Topic has a lone surrogate: it cannot be written as UTF-8";
  return undefined;
}

/** Says what is wrong with a pattern. @returns `undefined` when it is good. */
export function patternProblem(pattern: string): string | undefined {
  const problem = topicProblem(pattern);
  if (problem !== undefined) return problem.replace("Topic", "Pattern");
  const tokens = pattern.split(/[./]/);
  if (tokens.slice(0, -1).includes(">")) return `Pattern "${pattern}" has ">" before its last token`;
  return undefined;
}

/**
 * Compiles patterns once.
 *
 * @throws {RangeError} If a pattern is not good (`patternProblem` says what to tell the user).
 */
export function compilePatterns(patterns: readonly string[]): TopicMatcher {
  return new TopicMatcher(patterns);
}

/** A trie node while it is built. Literal edges are keyed by separator and token, `*` edges by separator. */
class Node {
  readonly edges = new Map<string, Node>();
  /** Lowest index of a pattern that ends here. */
  ends = NONE;
  /** Lowest index of a pattern that ends with `>` behind the separator: none (root), `.`, `/`. */
  readonly rest: [root: number, dot: number, slash: number] = [NONE, NONE, NONE];
  readonly star: [root: Node | undefined, dot: Node | undefined, slash: Node | undefined] = [
    undefined,
    undefined,
    undefined,
  ];
}

// Words of one node in the compiled table.
const ENDS = 0;
const REST = 1;
const STARS = 4;
const NODE_WORDS = 8;
// Words of one slot in the edge table.
const EDGE_NODE = 0;
const EDGE_CHILD = 1;
const EDGE_HASH = 2;
const EDGE_TEXT = 3;
const EDGE_LENGTH = 4;
const EDGE_WORDS = 5;

/** Matches topics, as bytes, against a set of patterns without allocating. */
export class TopicMatcher {
  readonly patterns: readonly string[];
  /** Whether every topic matches, because one of the patterns is `>` alone. */
  readonly matchesAll: boolean;
  #nodes = new Int32Array(0);
  /** Open addressing, at most half full; a slot with child 0 is free (the root is nobody's child). */
  #edges = new Int32Array(0);
  #edgeMask = 0;
  /** Text of the edges. */
  #texts = new Uint8Array(0);

  /** Made by `compilePatterns`. */
  constructor(patterns: readonly string[]) {
    this.patterns = [...patterns];
    this.matchesAll = patterns.includes(">");
    const root = new Node();
    patterns.forEach((pattern, index) => {
      const problem = patternProblem(pattern);
      if (problem !== undefined) throw new RangeError(problem);
      insert(root, pattern, index);
    });
    this.#compile(root);
  }

  /** Whether at least one pattern matches the topic `bytes[at..at+length)`. */
  matches(bytes: Uint8Array, at: number, length: number): boolean {
    return this.firstMatch(bytes, at, length) !== NONE;
  }

  /** Index of the first pattern, in the order given, that matches; -1 when none does. */
  firstMatch(bytes: Uint8Array, at: number, length: number): number {
    return this.#walk(0, bytes, at, at + length, 0);
  }

  /** The same for a string: for configuration and queries. */
  firstMatchOf(topic: string): number {
    const bytes = Buffer.from(topic);
    return this.firstMatch(bytes, 0, bytes.length);
  }

  /**
   * Lowest pattern index below `node` for what is left of the topic.
   *
   * A node is reached by one path only, so the work is bounded by the nodes of the trie.
   *
   * @param kind What `at` points to: 0 the first token, 1 a dot, 2 a slash.
   */
  #walk(node: number, bytes: Uint8Array, at: number, end: number, kind: number): number {
    const nodes = this.#nodes;
    let best = nodes[node * NODE_WORDS + REST + kind] as number;
    let next = kind === 0 ? at : at + 1;
    let hash = kind === 0 ? 0 : Math.imul(bytes[at] as number, 0x01000193);
    while (next < end) {
      const byte = bytes[next] as number;
      if (byte === DOT || byte === SLASH) break;
      hash = Math.imul(hash ^ byte, 0x01000193);
      next++;
    }
    const literal = this.#child(node, hash, bytes, at, next - at);
    if (literal !== 0) best = lower(best, this.#follow(literal, bytes, next, end));
    const star = nodes[node * NODE_WORDS + STARS + kind] as number;
    if (star !== 0) best = lower(best, this.#follow(star, bytes, next, end));
    return best;
  }

  #follow(node: number, bytes: Uint8Array, at: number, end: number): number {
    if (at === end) return this.#nodes[node * NODE_WORDS + ENDS] as number;
    return this.#walk(node, bytes, at, end, bytes[at] === DOT ? 1 : 2);
  }

  #child(node: number, hash: number, bytes: Uint8Array, at: number, length: number): number {
    const edges = this.#edges;
    const texts = this.#texts;
    for (let slot = slotOf(node, hash) & this.#edgeMask;; slot = (slot + 1) & this.#edgeMask) {
      const edge = slot * EDGE_WORDS;
      const child = edges[edge + EDGE_CHILD] as number;
      if (child === 0) return 0;
      if (edges[edge + EDGE_HASH] !== hash || edges[edge + EDGE_NODE] !== node) continue;
      if (edges[edge + EDGE_LENGTH] !== length) continue;
      const text = edges[edge + EDGE_TEXT] as number;
      let same = 0;
      while (same < length && texts[text + same] === bytes[at + same]) same++;
      if (same === length) return child;
    }
  }

  #compile(root: Node): void {
    const list = [root];
    const numbers = new Map<Node, number>([[root, 0]]);
    const edges: { node: number; child: Node; text: Uint8Array }[] = [];
    for (let index = 0; index < list.length; index++) {
      const node = list[index] as Node;
      for (const [text, child] of node.edges) edges.push({ node: index, child, text: Buffer.from(text) });
      for (const child of [...node.edges.values(), ...node.star]) {
        if (child === undefined) continue;
        numbers.set(child, list.length);
        list.push(child);
      }
    }
    const numberOf = (node: Node | undefined) => (node === undefined ? 0 : numbers.get(node) ?? 0);
    this.#nodes = new Int32Array(list.length * NODE_WORDS);
    list.forEach((node, index) => {
      this.#nodes[index * NODE_WORDS + ENDS] = node.ends;
      this.#nodes.set(node.rest, index * NODE_WORDS + REST);
      this.#nodes.set(node.star.map(numberOf), index * NODE_WORDS + STARS);
    });
    const slotCount = 2 ** Math.ceil(Math.log2(edges.length * 2 + 2));
    this.#edgeMask = slotCount - 1;
    this.#edges = new Int32Array(slotCount * EDGE_WORDS);
    this.#texts = Buffer.concat(edges.map((edge) => edge.text));
    let textAt = 0;
    for (const { node, child, text } of edges) {
      const hash = hashOf(text);
      let slot = slotOf(node, hash) & this.#edgeMask;
      while (this.#edges[slot * EDGE_WORDS + EDGE_CHILD] !== 0) slot = (slot + 1) & this.#edgeMask;
      this.#edges.set([node, numberOf(child), hash, textAt, text.length], slot * EDGE_WORDS);
      textAt += text.length;
    }
  }
}

function insert(root: Node, pattern: string, index: number): void {
  let node = root;
  // Each piece is a token with the separator before it; the first has none and may be empty.
  const pieces = pattern.split(/(?=[./])/);
  if (/^[./]/.test(pattern)) pieces.unshift("");
  for (const piece of pieces) {
    const kind = piece.startsWith(".") ? 1 : piece.startsWith("/") ? 2 : 0;
    const token = kind === 0 ? piece : piece.slice(1);
    if (token === ">") {
      node.rest[kind] = lower(node.rest[kind], index);
      return;
    }
    if (token === "*") {
      node = node.star[kind] ??= new Node();
      continue;
    }
    let child = node.edges.get(piece);
    if (child === undefined) node.edges.set(piece, child = new Node());
    node = child;
  }
  node.ends = lower(node.ends, index);
}

/** The lower of two pattern indexes, where -1 means none. */
function lower(a: number, b: number): number {
  if (a === NONE) return b;
  return b === NONE || a < b ? a : b;
}

function slotOf(node: number, hash: number): number {
  const mixed = Math.imul(node ^ (hash >>> 15) ^ hash, 0x85ebca6b);
  return mixed ^ (mixed >>> 13);
}

function hashOf(text: Uint8Array): number {
  const separated = text[0] === DOT || text[0] === SLASH;
  let hash = separated ? Math.imul(text[0] as number, 0x01000193) : 0;
  for (let at = separated ? 1 : 0; at < text.length; at++) {
    hash = Math.imul(hash ^ (text[at] as number), 0x01000193);
  }
  return hash;
}
