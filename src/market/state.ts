/**
 * The state of figures as text, for checkpoints: JSON that keeps NaN and infinities, which figures are full of.
 *
 *     NaN → "#NaN"     Infinity → "#Infinity"     -Infinity → "#-Infinity"       doubles in bulk: base64, little-endian
 */

/** What was saved, as text; the same state always gives the same text. */
export function stateText(state: unknown): string {
  return JSON.stringify(
    state,
    (_, value) => typeof value === "number" && !Number.isFinite(value) ? `#${value}` : value,
  );
}

/** The way back. The text must be one of `stateText`: its owner has checked that it is whole. */
export function parseState(text: string): unknown {
  return JSON.parse(text, (_, value) => {
    if (typeof value !== "string" || !value.startsWith("#")) return value;
    return value === "#NaN" || value === "#Infinity" || value === "#-Infinity"
      ? Number(value.slice(1))
      : value;
  });
}

export function packDoubles(values: Float64Array): string {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");
}

export function unpackDoubles(text: string): Float64Array {
  const bytes = Buffer.from(text, "base64");
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}
