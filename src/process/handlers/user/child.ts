/** A child process with its three streams, for both kinds of handlers. Processor thread only. */
import { endingOf } from "./handler-process.ts";

/** Longest line of stderr that is told whole. */
const LINE_CHARACTERS_MAX = 1000;
/** How long a process that was asked to end may take. */
const CLOSE_MS_MAX = 2000;

export interface ChildEvents {
  readonly onBytes: (bytes: Uint8Array) => void;
  readonly onLine: (line: string) => void;
  /** It has ended, and all it has written was told. */
  readonly onEnd: (reason: string) => void;
}

export class Child {
  readonly pid: number;
  readonly #process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  #killReason: string | undefined;
  #isEnded = false;

  /** @throws {Error} When the program cannot be started. */
  constructor(command: readonly string[], events: ChildEvents) {
    const process = Bun.spawn([...command], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
    this.#process = process;
    this.pid = process.pid;
    void this.#follow(events);
  }

  write(bytes: Uint8Array<ArrayBuffer> | string): void {
    // What is gone does not read: its end is told by `onEnd`.
    try {
      void Promise.resolve(this.#process.stdin.write(bytes)).catch(() => {});
      void Promise.resolve(this.#process.stdin.flush()).catch(() => {});
    } catch {
      // The same, at once.
    }
  }

  /** Ends it at once; `onEnd` gets the reason. */
  kill(reason: string): void {
    this.#killReason ??= reason;
    this.#process.kill("SIGKILL");
  }

  /** Closes its stdin; it is killed when it has not ended some time later. */
  close(): void {
    void Promise.resolve(this.#process.stdin.end()).catch(() => {});
    setTimeout(() => {
      if (!this.#isEnded) this.#process.kill("SIGKILL");
    }, CLOSE_MS_MAX).unref();
  }

  async #follow({ onBytes, onLine, onEnd }: ChildEvents): Promise<void> {
    const { stdout, stderr, exited } = this.#process;
    const read = async () => {
      for await (const bytes of stdout) onBytes(bytes);
    };
    await Promise.allSettled([read(), readLines(stderr, onLine)]);
    await exited;
    this.#isEnded = true;
    onEnd(this.#killReason ?? endingOf(this.#process.exitCode, this.#process.signalCode));
  }
}

async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = (lines.pop() ?? "").slice(0, LINE_CHARACTERS_MAX);
    for (const line of lines) if (line !== "") onLine(line.slice(0, LINE_CHARACTERS_MAX));
  }
  if (rest !== "") onLine(rest);
}
