/**
 * Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing over U+10FFFF, no cut sequences.
 */

/** Whether `bytes[from..to)` is well-formed UTF-8. Allocates nothing. */
export function isUtf8(bytes: Uint8Array, from: number, to: number): boolean {
  let at = from;
  while (at < to) {
    const lead = bytes[at] as number;
    if (lead < 0x80) {
      at++;
      continue;
    }
    // Range of the second byte: this is where overlong forms, surrogates and U+110000 are excluded.
    let low = 0x80;
    let high = 0xbf;
    let length: number;
    if (lead < 0xc2) return false;
    if (lead < 0xe0) {
      length = 2;
    } else if (lead < 0xf0) {
      length = 3;
      if (lead === 0xe0) low = 0xa0;
      else if (lead === 0xed) high = 0x9f;
    } else if (lead < 0xf5) {
      length = 4;
      if (lead === 0xf0) low = 0x90;
      else if (lead === 0xf4) high = 0x8f;
    } else {
      return false;
    }
    if (at + length > to) return false;
    const second = bytes[at + 1] as number;
    if (second < low || second > high) return false;
    for (let next = at + 2; next < at + length; next++) {
      if (((bytes[next] as number) & 0xc0) !== 0x80) return false;
    }
    at += length;
  }
  return true;
}

/** Bytes of a text in UTF-8, a lone surrogate counted as the U+FFFD that is written for it. */
export const utf8Length: (text: string) => number = "Buffer" in globalThis
  ? (text) => globalThis.Buffer.byteLength(text)
  : countUtf8;

/** The same where the runtime has no such routine: in a browser. */
export function countUtf8(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    bytes += unit < 0x800 ? 1 : 2;
    // A pair is two units and four bytes.
    const isPair = unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00;
    if (isPair) at++;
  }
  return bytes;
}
