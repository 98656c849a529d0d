/** Where `esc send` takes its payloads from: one text many times, or the lines of a file or of stdin. */
import { open } from "node:fs/promises";
import { EscError } from "../src/errors.ts";
import { LineCursor } from "./lines.ts";

const READ_BYTES = 256 * 1024;

/** Payloads, one after the other. */
export interface Payloads {
  /** The next payload, valid until the next call, or `undefined` when `more()` must be awaited first. */
  next(): Uint8Array | undefined;
  /** Waits for more input. @returns `false` at the end. */
  more(): Promise<boolean>;
  /** Ends a wait in `more()`, and the source. */
  stop(): void;
  /** Lines left out because no server would take them. */
  readonly tooLongCount: number;
}

/** The payload `count` times, or "event 1", "event 2", ... without one. */
export function repeatedPayload(payload: string | undefined, count: number): Payloads {
  const bytes = payload === undefined ? undefined : Buffer.from(payload);
  let given = 0;
  return {
    next: () => {
      if (given >= count) return undefined;
      given++;
      return bytes ?? Buffer.from(`event ${given}`);
    },
    more: () => Promise.resolve(false),
    stop: () => {
      given = count;
    },
    tooLongCount: 0,
  };
}

/**
 * The lines of a file, or of stdin.
 *
 * @param path `undefined` for stdin.
 * @param lineBytesMax Longer lines are left out and counted.
 * @throws {EscError} `NOT_FOUND` when the file cannot be read.
 */
export async function linePayloads(path: string | undefined, lineBytesMax: number): Promise<Payloads> {
  const input = path === undefined ? stdinChunks() : await fileChunks(path);
  const lines = new LineCursor(lineBytesMax);
  let hasEnded = false;
  const view = () => lines.bytes.subarray(lines.at, lines.end);
  return {
    next: () => {
      if (lines.next()) return view();
      return hasEnded && lines.last() ? view() : undefined;
    },
    more: async () => {
      if (hasEnded) return false;
      const chunk = await input.read();
      if (chunk === undefined) hasEnded = true;
      else lines.feed(chunk);
      return true;
    },
    stop: () => {
      hasEnded = true;
      input.cancel();
    },
    get tooLongCount() {
      return lines.tooLongCount;
    },
  };
}

/** Chunks of bytes, each valid until the next `read()`; `undefined` at the end. */
interface Chunks {
  read(): Promise<Uint8Array | undefined>;
  /** Ends a read that is under way, if that can be done. */
  cancel(): void;
}

function stdinChunks(): Chunks {
  const reader = Bun.stdin.stream().getReader();
  return {
    read: async () => (await reader.read()).value,
    // Rejects when stdin has failed: nobody waits for it any more.
    cancel: () => void reader.cancel().catch(() => {}),
  };
}

async function fileChunks(path: string): Promise<Chunks> {
  const unreadable = (cause: unknown) =>
    new EscError("NOT_FOUND", `Cannot read ${path}: ${reasonOf(cause)}`, { cause });
  const file = await open(path).catch((cause) => {
    throw unreadable(cause);
  });
  const buffer = new Uint8Array(READ_BYTES);
  return {
    read: async () => {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null).catch((cause) => {
        throw unreadable(cause);
      });
      if (bytesRead > 0) return buffer.subarray(0, bytesRead);
      await file.close();
      return undefined;
    },
    cancel: () => {},
  };
}

function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "ENOENT") return "no such file";
  if (code === "EISDIR") return "it is a folder";
  return cause instanceof Error ? cause.message : String(cause);
}
