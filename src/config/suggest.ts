/** "Did you mean": the known words nearest to one that is not known. */

/** Words offered at most. */
const OFFERED_MAX = 3;

/**
 * The known words nearest to `word`, best first; several when they are equally near; none when
 * nothing is near enough to be a slip of the pen.
 *
 * Spelling style does not count: `max_connections` is as near to `maxConnections` as can be.
 */
export function nearest(word: string, known: readonly string[]): string[] {
  const plain = withoutStyle(word);
  let best = Math.max(1, Math.ceil(plain.length / 3));
  let found: string[] = [];
  for (const candidate of known) {
    const distance = editDistance(plain, withoutStyle(candidate));
    if (distance > best) continue;
    if (distance < best) found = [];
    best = distance;
    found.push(candidate);
  }
  return found.slice(0, OFFERED_MAX);
}

/** `; did you mean "a" or "b"?`, or nothing when nothing is near. */
export function didYouMean(word: string, known: readonly string[]): string {
  const words = nearest(word, known);
  return words.length === 0 ? "" : `; did you mean ${words.map((near) => `"${near}"`).join(" or ")}?`;
}

function withoutStyle(word: string): string {
  return word.replaceAll(/[-_ ]/g, "").toLowerCase();
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
export function editDistance(from: string, to: string): number {
  const width = to.length + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: width }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column < width; column++) {
      const same = from[row - 1] === to[column - 1] ? 0 : 1;
      let cost = Math.min(
        at(last, column) + 1,
        at(current, column - 1) + 1,
        at(last, column - 1) + same,
      );
      if (row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]) {
        cost = Math.min(cost, at(beforeLast, column - 2) + 1);
      }
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return at(last, to.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Infinity;
}
