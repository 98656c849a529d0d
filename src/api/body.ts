/** Reading request bodies within limits: bytes, content type, depth of JSON. */
import { problem } from "./problem.ts";
import type { Checked } from "./route.ts";

/** Deeper JSON is refused before it is parsed: no event needs it, and each level costs stack. */
export const JSON_DEPTH_MAX = 64;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The content type without its parameters, in lower case; empty when there is none. */
export function contentTypeOf(request: Request): string {
  return (request.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

/** Reads the body, at most `bytesMax` bytes of it; stops reading when it is longer. */
export async function readBody(request: Request, bytesMax: number): Promise<Checked<Uint8Array>> {
  const tooLarge = () => ({ response: problem(413, `Body is longer than ${bytesMax} bytes`) });
  if (Number(request.headers.get("content-length") ?? 0) > bytesMax) return tooLarge();
  if (request.body === null) return { value: new Uint8Array(0) };
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body) {
    length += chunk.length;
    if (length > bytesMax) return tooLarge();
    chunks.push(chunk);
  }
  return { value: chunks.length === 1 ? chunks[0] as Uint8Array : Buffer.concat(chunks) };
}

/** Parses JSON that is UTF-8 and not nested deeper than JSON_DEPTH_MAX. @returns What is wrong, as text. */
export function parseJson(bytes: Uint8Array): { readonly value: unknown } | { readonly problem: string } {
  if (depthOf(bytes) > JSON_DEPTH_MAX) return { problem: `JSON is nested deeper than ${JSON_DEPTH_MAX}` };
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return { problem: "JSON is not UTF-8" };
  }
  try {
    return { value: JSON.parse(text) };
  } catch {
    return { problem: "Not JSON" };
  }
}

/** Deepest nesting of brackets outside strings; broken JSON gives some number, and fails in the parser. */
function depthOf(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let isInString = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (isInString) {
      if (byte === 0x5c) at++;
      else if (byte === 0x22) isInString = false;
    } else if (byte === 0x22) {
      isInString = true;
    } else if (byte === 0x7b || byte === 0x5b) {
      depth++;
      if (depth > deepest) deepest = depth;
    } else if (byte === 0x7d || byte === 0x5d) {
      depth--;
    }
  }
  return deepest;
}
