/** The bytes of an event in the ways people look at them. Never markup: all of it is shown as text. */

/** Longest payload that is laid out; the rest is in the download. */
const SHOWN_BYTES_MAX = 64 * 1024;

export interface Encoded {
  readonly payload: string;
  readonly encoding?: "base64" | undefined;
}

export function bytesOf({ payload, encoding }: Encoded): Uint8Array<ArrayBuffer> {
  if (encoding === "base64") return Uint8Array.from(atob(payload), (char) => char.charCodeAt(0));
  return new TextEncoder().encode(payload);
}

/** JSON with line ends and indents; `undefined` when the payload is none. */
export function prettyJson({ payload, encoding }: Encoded): string | undefined {
  if (encoding === "base64" || !/^\s*[[{"\d\-tfn]/.test(payload) || payload.length > SHOWN_BYTES_MAX) {
    return undefined;
  }
  try {
    const text = JSON.stringify(JSON.parse(payload), undefined, 2);
    // Digits that a double cannot hold would be shown wrong.
    return lostDigits(payload) ? undefined : text;
  } catch {
    return undefined;
  }
}

export function textOf({ payload, encoding }: Encoded): string {
  return encoding === "base64" ? "(not text: see hex)" : payload.slice(0, SHOWN_BYTES_MAX);
}

/** Sixteen bytes a line: offset, hex, characters. */
export function hexOf(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < Math.min(bytes.length, SHOWN_BYTES_MAX); at += 16) {
    const row = Array.from(bytes.subarray(at, at + 16));
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const chars = row.map((byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·").join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${chars}`);
  }
  if (bytes.length > SHOWN_BYTES_MAX) lines.push(`… ${bytes.length - SHOWN_BYTES_MAX} bytes more`);
  return lines.join("\n");
}

/** Begin of a payload, on one line. */
export function preview({ payload, encoding }: Encoded): string {
  if (encoding === "base64") return `base64 ${payload.slice(0, 100)}`;
  return payload.slice(0, 160).replace(/\s+/g, " ");
}

function lostDigits(json: string): boolean {
  return /(?<![\w."])-?\d{17,}(?![\w."])/.test(json.replace(/"(?:\\.|[^"\\])*"/g, `""`));
}
