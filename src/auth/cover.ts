/**
 * Whether one topic pattern allows all that another one asks for.
 *
 * Patterns are those of `event/topic.ts`: `*` stands for exactly one token, a final `>` for one or more,
 * and a separator (`.` or `/`) equals only itself.
 */

/** Whether every topic that `wanted` matches is matched by `allowed`, too. Both must be good patterns. */
export function covers(allowed: string, wanted: string): boolean {
  const have = pieces(allowed);
  const want = pieces(wanted);
  for (const [index, piece] of have.entries()) {
    const asked = want[index];
    // `wanted` ends here: its topics are shorter than what is allowed.
    if (asked === undefined || separatorOf(asked) !== separatorOf(piece)) return false;
    const token = tokenOf(piece);
    if (token === ">") return true;
    if (tokenOf(asked) === ">") return false;
    if (token !== "*" && token !== tokenOf(asked)) return false;
  }
  return want.length === have.length;
}

/** Tokens, each with the separator before it; the first has none and may be empty. */
function pieces(pattern: string): string[] {
  const list = pattern.split(/(?=[./])/);
  if (/^[./]/.test(pattern)) list.unshift("");
  return list;
}

function separatorOf(piece: string): string {
  return piece.startsWith(".") || piece.startsWith("/") ? piece.slice(0, 1) : "";
}

function tokenOf(piece: string): string {
  return separatorOf(piece) === "" ? piece : piece.slice(1);
}
