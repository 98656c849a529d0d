/**
 * Compressed answers for clients that take them, and compressed bodies from clients that send them.
 *
 * The main thread serves everybody, so it compresses only what costs it less than handing it on: larger answers go
 * through the thread pool. A stream is flushed after each of its chunks: what is due is not kept back.
 */
import { promisify } from "node:util";
import { constants, createGunzip, createGzip, gzip, gzipSync } from "node:zlib";
import { Readable } from "node:stream";
import { EscError } from "../errors.ts";

/** Below it a packet is a packet. */
const BYTES_MIN = 1024;
/** Up to here the main thread compresses by itself, in less than half a millisecond. */
const SYNC_BYTES_MAX = 32 * 1024;
const LEVEL = 1;
/** Of a stream, which lasts: 32 KiB of window and 32 KiB of state, where the default is 256 KiB. */
const STREAM_OPTIONS = { level: LEVEL, windowBits: 13, memLevel: 6 };
const COMPRESSIBLE = /^(application\/(problem\+)?json|text\/)/;
const EVENT_STREAM = "text/event-stream";
const gzipAsync = promisify(gzip);

export type ContentEncoding = "br" | "gzip";

/** Whether the client takes answers in this encoding. */
export function accepts(request: Request, encoding: ContentEncoding): boolean {
  const accepted = request.headers.get("accept-encoding") ?? "";
  return accepted.split(",").some((part) => {
    const [name, ...parameters] = part.split(";").map((text) => text.trim().toLowerCase());
    return name === encoding && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}

/** The answer, compressed if the client takes gzip and it is worth it. Streams of events are flushed chunk by chunk. */
export async function compressed(request: Request, response: Response): Promise<Response> {
  const { headers, status, body } = response;
  const contentType = headers.get("content-type") ?? "";
  const isPossible = body !== null && request.method !== "HEAD" && COMPRESSIBLE.test(contentType) &&
    !headers.has("content-encoding");
  if (!isPossible) return response;
  headers.append("vary", "accept-encoding");
  // Brotli would cost several times as much for a little less: those who take it take gzip too.
  if (!accepts(request, "gzip")) return response;
  if (contentType.startsWith(EVENT_STREAM)) {
    headers.set("content-encoding", "gzip");
    return new Response(gzipStream(body), { status, headers });
  }
  const bytes = await response.bytes();
  if (bytes.length < BYTES_MIN) return new Response(bytes, { status, headers });
  headers.set("content-encoding", "gzip");
  const packed = bytes.length <= SYNC_BYTES_MAX
    ? gzipSync(bytes, { level: LEVEL })
    : await gzipAsync(bytes, { level: LEVEL });
  return new Response(new Uint8Array(packed), { status, headers });
}

/** Reads the source only when it is read itself: whoever stalls stalls what is behind it. */
function gzipStream(source: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const packer = createGzip(STREAM_OPTIONS);
  const reader = source.getReader();
  return new ReadableStream<Uint8Array>({
    start: (controller) => {
      packer.on("data", (bytes: Uint8Array) => controller.enqueue(bytes));
      packer.on("end", () => controller.close());
    },
    pull: async () => {
      const { done, value } = await reader.read();
      if (done) {
        packer.end();
        return;
      }
      packer.write(value);
      await new Promise<void>((resolve) => packer.flush(constants.Z_SYNC_FLUSH, () => resolve()));
    },
    cancel: (reason) => {
      packer.destroy();
      return reader.cancel(reason);
    },
  }, { highWaterMark: 0 });
}

/** A body that is compressed in a way nobody here knows. */
export const UNKNOWN_ENCODING = "Content-Encoding is neither gzip nor identity";

/**
 * The request's body as it was before it was compressed, in chunks of bounded size; the reader must know when it has
 * enough, however little was sent.
 *
 * @returns `undefined` when its encoding is unknown.
 * @throws {EscError} `USAGE` While it is read, when it is not what its encoding says.
 */
export function plainBody({ headers, body }: Request): AsyncIterable<Uint8Array> | undefined {
  const encoding = (headers.get("content-encoding") ?? "identity").trim().toLowerCase();
  if (body === null) return nothing();
  if (encoding === "identity" || encoding === "") return body;
  return encoding === "gzip" || encoding === "x-gzip" ? gunzipped(body) : undefined;
}

async function* gunzipped(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const unpacker = createGunzip();
  const packed = Readable.from(body);
  packed.on("error", (error: Error) => unpacker.destroy(error));
  packed.pipe(unpacker);
  try {
    for await (const bytes of unpacker) yield bytes;
  } catch (error) {
    throw new EscError("USAGE", "Cannot unpack the body: it is not gzip, or was cut off", { cause: error });
  } finally {
    // Whoever has seen enough does not unpack the rest.
    packed.destroy();
    unpacker.destroy();
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
