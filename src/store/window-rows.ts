/** The results of one commit, brought down to what is left of them: rows to delete, then rows to write. */
import type { WindowResult, WindowSpan } from "./store.ts";

export interface SettledWindows {
  /** Names, keys and spans of rows that later results have replaced. */
  readonly withdrawn: readonly Pick<WindowResult, "name" | "key" | "startUs" | "endUs">[];
  /** The last result of each row: none comes twice. */
  readonly rows: readonly WindowResult[];
}

/** @param results In the order in which they were told. */
export function settleWindows(results: readonly WindowResult[]): SettledWindows {
  const rows = new Map<string, WindowResult>();
  const withdrawn = new Map<string, SettledWindows["withdrawn"][number]>();
  for (const result of results) {
    const { name, key } = result;
    const id = (span: WindowSpan) => JSON.stringify([name, key, span.startUs, span.endUs]);
    for (const span of result.replaces ?? []) {
      rows.delete(id(span));
      withdrawn.set(id(span), { name, key, startUs: span.startUs, endUs: span.endUs });
    }
    withdrawn.delete(id(result));
    rows.set(id(result), result);
  }
  return { withdrawn: [...withdrawn.values()], rows: [...rows.values()] };
}
