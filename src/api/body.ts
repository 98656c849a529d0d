/** Reading request bodies within limits: bytes, content type, depth of JSON. */
import { EscError } from "../errors.ts";
import type { Limit } from "../metrics/layout.ts";
import { plainBody, UNKNOWN_ENCODING } from "./compress.ts";
import { problem, problemOf } from "./problem.ts";

/** Deeper JSON is refused before it is parsed: no event needs it, and each level costs stack. */
export const JSON_DEPTH_MAX = 64;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The content type without its parameters, in lower case; empty when there is none. */
export function contentTypeOf(request: Request): string {
  return (request.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

/**
 * Reads request bodies, within a limit for each and a limit for all that are in hand at the same time:
 * slow acknowledgements must not fill the memory with bodies.
 */
export class BodyGate {
  readonly #heldBytesMax: number;
  readonly #onLimit: (limit: Limit) => void;
  #heldBytes = 0;

  /**
   * @param heldBytesMax Of all bodies together.
   * @param onLimit Is told of each limit that a request runs into.
   */
  constructor(heldBytesMax: number, onLimit: (limit: Limit) => void) {
    this.#heldBytesMax = heldBytesMax;
    this.#onLimit = onLimit;
  }

  /**
   * Reads the body and hands it on; it counts as held until `use` has answered.
   *
   * @param bytesMax Longest body, unpacked; reading stops there.
   * @returns The answer of `use`, 413 for a longer body, 415 for an unknown Content-Encoding, 400 for one that is not
   *   true, 429 when too many bodies are held.
   */
  async read(
    request: Request,
    bytesMax: number,
    use: (bytes: Uint8Array) => Response | Promise<Response>,
  ): Promise<Response> {
    if (Number(request.headers.get("content-length") ?? 0) > bytesMax) return this.tooLong(bytesMax);
    const body = plainBody(request);
    if (body === undefined) return problem(415, UNKNOWN_ENCODING);
    let length = 0;
    try {
      const chunks: Uint8Array[] = [];
      try {
        for await (const chunk of body) {
          length += chunk.length;
          this.#heldBytes += chunk.length;
          if (length > bytesMax) return this.tooLong(bytesMax);
          if (this.#heldBytes > this.#heldBytesMax) {
            this.#onLimit("bodies_held");
            return problemOf("QUEUE_FULL", "Too many requests are waiting: send it again later");
          }
          chunks.push(chunk);
        }
      } catch (error) {
        if (error instanceof EscError) throw error;
        // The client went away in the middle: no defect of ours.
        return problem(400, "Body ended before it was complete");
      }
      return await use(chunks.length === 1 ? chunks[0] as Uint8Array : Buffer.concat(chunks));
    } finally {
      this.#heldBytes -= length;
    }
  }

  /** Counts bytes that somebody else reads among those in hand. @returns `false`, and counts nothing, when full. */
  hold(bytes: number): boolean {
    if (this.#heldBytes + bytes > this.#heldBytesMax) {
      this.#onLimit("bodies_held");
      return false;
    }
    this.#heldBytes += bytes;
    return true;
  }

  /** Gives back what `hold()` has counted. */
  release(bytes: number): void {
    this.#heldBytes -= bytes;
  }

  /** The answer to a body that is longer than it may be. */
  tooLong(bytesMax: number): Response {
    this.#onLimit("body_bytes");
    return problem(413, `Body is longer than ${bytesMax} bytes`);
  }

  /** Parses a body that is one JSON text. @returns What is wrong with it, as text. */
  parse(bytes: Uint8Array): ParsedJson {
    const parsed = parseJson(bytes);
    if (parsed.isTooDeep) this.#onLimit("json_depth");
    return parsed;
  }
}

/** A value, or what is wrong with the text. */
export type ParsedJson =
  | { readonly value: unknown; readonly problem?: never; readonly isTooDeep?: never }
  | { readonly problem: string; readonly isTooDeep?: true };

/** Parses JSON that is UTF-8 and not nested deeper than JSON_DEPTH_MAX. @returns What is wrong, as text. */
export function parseJson(bytes: Uint8Array): ParsedJson {
  if (depthOf(bytes) > JSON_DEPTH_MAX) {
    return { problem: `JSON is nested deeper than ${JSON_DEPTH_MAX}`, isTooDeep: true };
  }
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
